// Of PoolNetwork: ports of the node that lead to pods, pods' ports on a bridge,
// and what becomes of the rules for both when others change them.

#include <arpa/inet.h>  // Before linux/in.h.
#include <linux/netfilter.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "network/modes.h"
#include "network/pool_network.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;

std::vector<IpAddress> AddressesOf(const KnownPod& pod) {
  std::vector<IpAddress> addresses;
  for (const std::string& ip : pod.ips) {
    const auto address = IpAddress::Parse(ip);
    if (address.ok()) addresses.push_back(*address);
  }
  return addresses;
}

// No reason to fail a pod: they end by themselves when their clients pause.
void LogFlows(const absl::Status& status) {
  if (status.ok()) return;
  Log(LogLevel::kWarning, "UDP flows to host ports may go to where they went",
      {{"error", status.ToString()}});
}

}  // namespace

absl::StatusOr<HostPorts> PoolNetwork::ReserveHostPorts(
    const AttachRequest& request) {
  if (request.host_ports.empty()) return HostPorts();
  if (!options_.host_link) {
    return absl::FailedPreconditionError("host ports need network.host_link");
  }
  absl::MutexLock host_lock(&host_mutex_);
  PINION_RETURN_IF_ERROR(
      CheckHostPorts(host_ports_, request.pod_id, request.host_ports));
  PINION_RETURN_IF_ERROR(CheckReachable(request.host_ports, Plans()));
  WarnWithoutForwarding();
  HostPorts& ports = host_ports_[request.pod_id];
  HostPorts before = ports;
  // Those it has lead to it meanwhile.
  ports.ports = request.host_ports;
  host_ports_used_ = true;
  return before;
}

absl::Status PoolNetwork::ResetHostPorts(const std::string& pod_id,
                                         const HostPorts& before) {
  if (before.ports.empty()) return CloseHostPorts(pod_id);
  absl::MutexLock host_lock(&host_mutex_);
  host_ports_[pod_id] = before;
  return ApplyHostPorts();
}

absl::Status PoolNetwork::OpenHostPorts(
    const std::string& pod_id, const std::vector<IpAddress>& addresses) {
  absl::MutexLock host_lock(&host_mutex_);
  HostPorts& ports = host_ports_[pod_id];
  ports.addresses = addresses;
  PINION_RETURN_IF_ERROR(ApplyHostPorts());
  if (netfilter_.ok()) LogFlows(EndFlowsBeforePorts(*netfilter_, ports));
  return absl::OkStatus();
}

absl::Status PoolNetwork::CloseHostPorts(const std::string& pod_id) {
  // Most nodes have no such pod; the others' locks are not waited for then.
  if (!host_ports_used_) return absl::OkStatus();
  absl::MutexLock host_lock(&host_mutex_);
  auto closed = host_ports_.extract(pod_id);
  if (!closed.empty()) {
    closed_host_ports_.push_back(std::move(closed.mapped()));
  }
  if (closed_host_ports_.empty() && !host_ports_stale_) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(ApplyHostPorts());
  for (const HostPorts& ports : std::exchange(closed_host_ports_, {})) {
    if (netfilter_.ok()) LogFlows(EndFlowsOfPorts(*netfilter_, ports));
  }
  return absl::OkStatus();
}

absl::Status PoolNetwork::ApplyHostPorts() {
  const absl::Status status = WriteHostPorts();
  host_ports_stale_ = !status.ok();
  if (host_ports_stale_) host_ports_used_ = true;
  return status;
}

absl::Status PoolNetwork::WriteHostPorts() {
  if (!options_.host_link) return absl::OkStatus();
  if (!netfilter_.ok()) {
    return host_ports_.empty() ? absl::OkStatus() : netfilter_.status();
  }
  return InstallHostPorts(host_, *netfilter_, NodeLinkName(options_), Plans(),
                          host_ports_);
}

absl::Status PoolNetwork::RestoreHostPorts(const std::vector<KnownPod>& pods) {
  absl::MutexLock host_lock(&host_mutex_);
  host_ports_.clear();
  for (const KnownPod& pod : pods) {
    if (pod.host_ports.empty()) continue;
    HostPorts& ports = host_ports_[pod.pod_id];
    ports.ports = pod.host_ports;
    ports.addresses = AddressesOf(pod);
  }
  host_ports_known_ = true;
  host_ports_used_ = !host_ports_.empty();
  // Else when there is a host link.
  return readiness_.load()->ready ? ApplyHostPorts() : absl::OkStatus();
}

void PoolNetwork::RestorePorts(const std::vector<KnownPod>& pods) {
  if (!kind_->HasPorts()) return;
  {
    absl::MutexLock host_lock(&host_mutex_);
    std::map<std::string, BridgePorts::Addresses> addresses;
    for (const KnownPod& pod : pods) addresses[pod.pod_id] = AddressesOf(pod);
    ports_.SetPods(addresses);
  }
  // The bridge may have been deleted while no daemon ran.
  Refresh();
}

BridgePorts::Addresses PoolNetwork::PortOf(const std::string& pod_id) {
  if (!kind_->HasPorts()) return {};
  absl::MutexLock host_lock(&host_mutex_);
  return ports_.Of(pod_id);
}

void PoolNetwork::ResetPort(const std::string& pod_id,
                            const BridgePorts::Addresses& addresses) {
  if (!kind_->HasPorts()) return;
  absl::MutexLock host_lock(&host_mutex_);
  if (!netfilter_.ok()) return;
  const absl::Status status = addresses.empty()
                                  ? ports_.Remove(*netfilter_, pod_id)
                                  : ports_.Set(*netfilter_, pod_id, addresses);
  if (status.ok()) return;
  Log(LogLevel::kWarning, "a pod's port has rules that are not its own",
      {{"pod", ShortId(pod_id)}, {"error", status.ToString()}});
}

bool PoolNetwork::IsPodsPort(const std::string& name) {
  absl::MutexLock host_lock(&host_mutex_);
  return ports_.Has(name);
}

absl::Status PoolNetwork::WatchRules() {
  absl::MutexLock host_lock(&host_mutex_);
  if (!options_.host_link || !netfilter_.ok()) return absl::OkStatus();
  const std::string name = NodeLinkName(options_);
  std::set<RulesetWatch::Table> tables;
  for (const uint8_t family : {NFPROTO_IPV4, NFPROTO_IPV6}) {
    tables.insert({family, name});
    tables.insert({family, HostPortsTable(name)});
  }
  if (kind_->HasPorts()) tables.insert({NFPROTO_BRIDGE, name});
  PINION_ASSIGN_OR_RETURN(rules_,
                          RulesetWatch::Create(*netfilter_, std::move(tables)));
  return absl::OkStatus();
}

void PoolNetwork::WriteRulesAgain() {
  absl::MutexLock lock(&mutex_);
  Refresh();
  absl::MutexLock host_lock(&host_mutex_);
  // All of them at once, one look a family.
  HostPorts all;
  for (const auto& [pod_id, pod] : host_ports_) {
    all.ports.insert(all.ports.end(), pod.ports.begin(), pod.ports.end());
    for (const IpAddress& address : pod.addresses) {
      const bool seen = std::any_of(all.addresses.begin(), all.addresses.end(),
                                    [&address](const IpAddress& other) {
                                      return other.family() == address.family();
                                    });
      if (!seen) all.addresses.push_back(address);
    }
  }
  if (netfilter_.ok()) LogFlows(EndFlowsBeforePorts(*netfilter_, all));
}

}  // namespace pinion::network
