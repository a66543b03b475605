#include "network/secondary/secondary_networks.h"

#include <linux/rtnetlink.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/device_name.h"
#include "network/secondary/plan.h"
#include "network/secondary/vlan.h"

namespace pinion::network {
namespace {

std::string DescribeParent(const SecondaryOptions& network) {
  return network.vlan == 0
             ? network.parent
             : absl::StrCat(network.parent, " vlan ", network.vlan);
}

}  // namespace

SecondaryNetworks::SecondaryNetworks(const Options& options,
                                     std::unique_ptr<PodNetwork> first,
                                     os::NetlinkSocket host,
                                     metrics::Registry& registry)
    : first_(std::move(first)),
      first_interface_(options.interface_name),
      host_link_name_(NodeLinkName(options)),
      host_(std::move(host)),
      metrics_(std::make_unique<SecondaryMetrics>(registry)) {}

absl::StatusOr<std::unique_ptr<SecondaryNetworks>> SecondaryNetworks::Create(
    const Options& options, std::unique_ptr<PodNetwork> first,
    metrics::Registry& registry) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket host, os::NetlinkSocket::Open());
  std::unique_ptr<SecondaryNetworks> all(new SecondaryNetworks(
      options, std::move(first), std::move(host), registry));
  for (const auto& [name, unused] : options.secondary) {
    PINION_ASSIGN_OR_RETURN(
        all->networks_[name],
        SecondaryNetwork::Create(name, options, *all->metrics_));
  }
  if (all->networks_.empty()) return all;
  PINION_ASSIGN_OR_RETURN(all->reactor_, os::Reactor::Create());
  PINION_ASSIGN_OR_RETURN(all->announcer_,
                          Announcer::Create(all->reactor_.get()));
  // Subscribed before the first look, so that no change is missed.
  PINION_ASSIGN_OR_RETURN(
      all->events_, os::NetlinkSocket::Open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                            RTMGRP_IPV6_IFADDR));
  all->Refresh();
  SecondaryNetworks* const self = all.get();
  PINION_RETURN_IF_ERROR(all->reactor_->Add(
      all->events_->fd(), EPOLLIN, [self](uint32_t) { self->OnLinkEvents(); }));
  return all;
}

void SecondaryNetworks::OnLinkEvents() {
  bool changed = false;
  const absl::Status status =
      events_->Receive([&](const os::NetlinkMessage& message) {
        for (const auto& [name, network] : networks_) {
          changed |= network->IsConcernedBy(message);
        }
      });
  // Messages were lost: look at everything.
  if (changed || !status.ok()) Refresh();
}

void SecondaryNetworks::Refresh() {
  const absl::MutexLock lock(&mutex_);
  bool again = false;
  for (const auto& [name, network] : networks_) {
    network->Refresh(host_);
    again |= MayMendUnnoticed(network->GetReadiness());
  }
  if (!again || std::exchange(look_again_, true)) return;
  reactor_->After(kLookAgain, [this] {
    {
      const absl::MutexLock timer_lock(&mutex_);
      look_again_ = false;
    }
    Refresh();
  });
}

absl::Status SecondaryNetworks::CheckSecondary(
    const std::vector<SecondaryRequest>& requests) const {
  std::set<std::string> names = {first_interface_};
  for (const SecondaryRequest& request : requests) {
    const auto network = networks_.find(request.network);
    if (network == networks_.end()) {
      return NoSuchNetwork(request.network);
    }
    PINION_RETURN_IF_ERROR(CheckPodInterfaceName(request.interface_name));
    if (!names.insert(request.interface_name).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two interfaces of the pod are called ", request.interface_name));
    }
    PINION_RETURN_IF_ERROR(network->second->Check(request));
  }
  return absl::OkStatus();
}

// Names those that there are, but not beyond what a message may hold.
absl::Status SecondaryNetworks::NoSuchNetwork(const std::string& name) const {
  constexpr size_t kMost = 16;
  std::vector<std::string> known;
  for (const auto& [other, network] : networks_) {
    known.push_back(known.size() < kMost ? other : "…");
    if (known.size() > kMost) break;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no network \"", name, "\" is configured on this node (",
      known.empty()
          ? "network.secondary has none"
          : absl::StrCat("network.secondary has ", absl::StrJoin(known, ", ")),
      ")"));
}

std::vector<SecondaryState> SecondaryNetworks::GetSecondary() const {
  std::vector<SecondaryState> states;
  for (const auto& [name, network] : networks_) {
    states.push_back({.network = name,
                      .parent = DescribeParent(network->options()),
                      .readiness = network->GetReadiness()});
  }
  return states;
}

absl::StatusOr<PodAddresses> SecondaryNetworks::Attach(
    const AttachRequest& request) {
  if (request.secondary.empty()) return first_->Attach(request);
  const Stopwatch stopwatch;
  absl::StatusOr<Attachments> further = AttachFurther(request);
  if (!further.ok()) {
    metrics_->attach_failures.Increment();
    return further.status();
  }
  metrics_->attach_seconds.Observe(stopwatch.Seconds());
  absl::StatusOr<PodAddresses> addresses = first_->Attach(request);
  if (!addresses.ok()) {
    Undo(request, *std::move(further));
    return addresses;
  }
  ConfineArp(request, addresses->interface_name);
  for (SecondaryAttachment& made : *further) {
    for (ipam::IpLease& lease : made.leases) lease.Commit();
    announcer_->Announce(made.parent_index, made.mac, made.addresses);
    addresses->secondary.push_back(std::move(made.interface));
  }
  return addresses;
}

void SecondaryNetworks::ConfineArp(const AttachRequest& request,
                                   const std::string& name) {
  if (name.empty()) return;
  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  const absl::StatusOr<Link> link = FindLink(pod, name);
  absl::Status status = link.status();
  if (status.ok()) {
    os::NetlinkBatch batch;
    AppendStrictArp(batch, link->index, name);
    status = pod.Transact(batch);
  }
  if (status.ok()) return;
  Log(LogLevel::kWarning, "ARP of a pod's first interface was not confined",
      {{"pod", request.pod_id}, {"error", status.ToString()}});
}

absl::StatusOr<SecondaryNetworks::Attachments> SecondaryNetworks::AttachFurther(
    const AttachRequest& request) {
  PINION_RETURN_IF_ERROR(CheckSecondary(request.secondary));
  const absl::MutexLock lock(&mutex_);
  std::vector<SecondaryInterface> earlier;
  {
    const absl::MutexLock pods_lock(&pods_mutex_);
    const auto found = pods_.find(request.pod_id);
    if (found != pods_.end()) earlier = found->second;
  }
  Attachments made;
  std::vector<SecondaryInterface> interfaces;
  for (const SecondaryRequest& wanted : request.secondary) {
    const SecondaryInterface* same = nullptr;
    for (const SecondaryInterface& one : earlier) {
      if (one.network == wanted.network &&
          one.interface_name == wanted.interface_name) {
        same = &one;
      }
    }
    auto attachment = networks_.at(wanted.network)
                          ->Attach(host_, request, wanted,
                                   static_cast<int>(made.size()) + 1, same);
    if (!attachment.ok()) {
      UndoLocked(request, std::move(made));
      return attachment.status();
    }
    interfaces.push_back(attachment->interface);
    made.push_back(*std::move(attachment));
  }
  const absl::MutexLock pods_lock(&pods_mutex_);
  pods_[request.pod_id] = std::move(interfaces);
  return made;
}

void SecondaryNetworks::Undo(const AttachRequest& request, Attachments made) {
  const absl::MutexLock lock(&mutex_);
  // What an earlier Attach made is still the pod's.
  const bool all_fresh = std::all_of(
      made.begin(), made.end(),
      [](const SecondaryAttachment& one) { return one.link.fresh; });
  if (all_fresh) {
    const absl::MutexLock pods_lock(&pods_mutex_);
    pods_.erase(request.pod_id);
  }
  UndoLocked(request, std::move(made));
}

void SecondaryNetworks::UndoLocked(const AttachRequest& request,
                                   Attachments made) {
  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  for (auto one = made.rbegin(); one != made.rend(); ++one) {
    DeleteSecondaryLink(pod, *one);
  }
  made.clear();
  RemoveUnusedVlans();
}

void SecondaryNetworks::RemoveUnusedVlans() {
  const absl::Status status = TryRemoveUnusedVlans();
  if (status.ok()) return;
  Log(LogLevel::kWarning, "a VLAN device that nobody uses was not removed",
      {{"error", status.ToString()}});
}

absl::Status SecondaryNetworks::TryRemoveUnusedVlans() {
  std::set<std::string> used;
  {
    const absl::MutexLock pods_lock(&pods_mutex_);
    for (const auto& [id, interfaces] : pods_) {
      for (const SecondaryInterface& one : interfaces) used.insert(one.parent);
    }
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> vlans,
                          ListVlans(host_, host_link_name_));
  for (const Link& vlan : vlans) {
    if (used.count(vlan.name) != 0) continue;
    PINION_RETURN_IF_ERROR(RemoveVlan(host_, vlan));
    Log(LogLevel::kInfo, "removed a VLAN device that nobody uses",
        {{"device", vlan.name}});
  }
  return absl::OkStatus();
}

absl::Status SecondaryNetworks::Detach(const std::string& pod_id) {
  absl::Status result = first_->Detach(pod_id);
  DetachFurther(pod_id);
  return result;
}

void SecondaryNetworks::DetachFurther(const std::string& pod_id) {
  {
    const absl::MutexLock pods_lock(&pods_mutex_);
    if (pods_.count(pod_id) == 0) return;
  }
  const absl::MutexLock lock(&mutex_);
  bool on_vlan = false;
  {
    const absl::MutexLock pods_lock(&pods_mutex_);
    const auto pod = pods_.extract(pod_id);
    if (pod.empty()) return;
    for (const SecondaryInterface& one : pod.mapped()) {
      on_vlan |= IsVlanDeviceName(host_link_name_, one.parent);
    }
  }
  for (const auto& [name, network] : networks_) network->Detach(pod_id);
  if (on_vlan) RemoveUnusedVlans();
}

absl::Status SecondaryNetworks::Reconcile(const std::vector<KnownPod>& pods) {
  absl::Status result = first_->Reconcile(pods);
  const absl::MutexLock lock(&mutex_);
  {
    const absl::MutexLock pods_lock(&pods_mutex_);
    pods_.clear();
    for (const KnownPod& pod : pods) {
      if (!pod.secondary.empty()) pods_[pod.pod_id] = pod.secondary;
    }
  }
  for (const auto& [name, network] : networks_) {
    result.Update(Annotate(network->Reconcile(host_, pods),
                           absl::StrCat("network \"", name, "\"")));
    // Half made, when the record had nothing yet.
    for (const KnownPod& pod : pods) {
      if (!network->MayHold(pod.pod_id)) continue;
      const absl::MutexLock pods_lock(&pods_mutex_);
      pods_.try_emplace(pod.pod_id);
    }
  }
  RemoveUnusedVlans();
  return result;
}

absl::Status RemoveVlans(os::NetlinkSocket& socket, const Options& options) {
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> vlans,
                          ListVlans(socket, NodeLinkName(options)));
  for (const Link& vlan : vlans) {
    PINION_RETURN_IF_ERROR(RemoveVlan(socket, vlan));
  }
  return absl::OkStatus();
}

}  // namespace pinion::network
