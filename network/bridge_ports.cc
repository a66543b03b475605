#include "network/bridge_ports.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/mac.h"
#include "network/parent.h"
#include "network/pod_link.h"

namespace pinion::network {
namespace {

PodSource SourceOf(const BridgePorts::Addresses& addresses) {
  const MacAddress mac = MacFor(addresses.front());
  return {.port = PortName(mac), .mac = mac, .addresses = addresses};
}

}  // namespace

absl::Status BridgePorts::Set(os::NetlinkSocket& netfilter,
                              const std::string& pod_id,
                              const Addresses& addresses) {
  PodSource source = SourceOf(addresses);
  const auto former = pods_.find(pod_id);
  const absl::Status status = ReplacePodSource(
      netfilter, bridge_, former == pods_.end() ? nullptr : &former->second,
      source);
  // There are no rules yet, or somebody has flushed them.
  const bool no_rules = os::NetlinkErrno(status) == ENOENT;
  if (!status.ok() && !no_rules) return status;
  pods_[pod_id] = std::move(source);
  return no_rules ? WriteGuard(netfilter) : absl::OkStatus();
}

absl::Status BridgePorts::Remove(os::NetlinkSocket& netfilter,
                                 const std::string& pod_id) {
  const auto pod = pods_.extract(pod_id);
  if (pod.empty()) return absl::OkStatus();
  const absl::Status status = RemovePodSource(netfilter, bridge_, pod.mapped());
  return os::NetlinkErrno(status) == ENOENT ? absl::OkStatus() : status;
}

BridgePorts::Addresses BridgePorts::Of(const std::string& pod_id) const {
  const auto pod = pods_.find(pod_id);
  return pod == pods_.end() ? Addresses() : pod->second.addresses;
}

bool BridgePorts::Has(const std::string& port) const {
  return std::any_of(pods_.begin(), pods_.end(), [&port](const auto& pod) {
    return pod.second.port == port;
  });
}

void BridgePorts::SetPods(const std::map<std::string, Addresses>& pods) {
  pods_.clear();
  for (const auto& [pod_id, addresses] : pods) {
    if (!addresses.empty()) pods_[pod_id] = SourceOf(addresses);
  }
  all_known_ = true;
}

absl::Status BridgePorts::Restore(os::NetlinkSocket& host,
                                  os::NetlinkSocket& netfilter,
                                  const Link& bridge) {
  if (all_known_) PINION_RETURN_IF_ERROR(WriteGuard(netfilter));
  return PlugIn(host, bridge);
}

absl::Status BridgePorts::WriteGuard(os::NetlinkSocket& netfilter) const {
  std::vector<PodSource> sources;
  for (const auto& [pod_id, source] : pods_) sources.push_back(source);
  return Annotate(ReplaceSourceGuard(netfilter, bridge_, sources),
                  "nf_tables for bridges");
}

absl::Status BridgePorts::PlugIn(os::NetlinkSocket& host, const Link& bridge) {
  int count = 0;
  std::set<std::string> cut_off;
  for (const auto& [pod_id, source] : pods_) {
    const auto port = FindLink(host, source.port);
    if (absl::IsNotFound(port.status())) continue;
    PINION_RETURN_IF_ERROR(port.status());
    if (port->alias != kOwnAlias || port->master_index != 0) continue;
    os::NetlinkBatch batch;
    AppendPlugIn(batch,
                 {.name = port->name,
                  .index = port->index,
                  .bridge_index = bridge.index,
                  .mtu = port->mtu,
                  .pod_mac = source.mac},
                 kOwnAlias);
    const absl::Status status = host.Transact(batch);
    // It went with its pod, just now.
    if (os::NetlinkErrno(status) == ENODEV) continue;
    if (status.ok()) {
      ++count;
    } else {
      // This pod's misfortune, not the node's.
      cut_off.insert(pod_id);
      if (cut_off_.count(pod_id) != 0) continue;
      Log(LogLevel::kError, "a pod is cut off",
          {{"pod", ShortId(pod_id)}, {"error", status.ToString()}});
    }
  }
  cut_off_ = std::move(cut_off);
  if (count != 0) {
    Log(LogLevel::kWarning, "plugged pods in again that were cut off",
        {{"bridge", bridge.name}, {"pods", count}});
  }
  return absl::OkStatus();
}

}  // namespace pinion::network
