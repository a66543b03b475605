// Of PoolNetwork: who has an address already, at the start and whenever pools
// are opened.

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/host_link.h"
#include "network/node_address_file.h"
#include "network/pool_network.h"

namespace pinion::network {

using ipam::IpAddress;
using ipam::IpRange;
using ipam::Owner;

namespace {

absl::Status NodeAddressGone(const IpRange& range, const IpAddress& node,
                             const Link& parent) {
  return absl::FailedPreconditionError(absl::StrCat(
      "pods of ", range.name(), " know this node by ", node.ToString(),
      ", which ", parent.name, " has no more: give it the address back, or ",
      "drain the node and start piniond anew"));
}

}  // namespace

absl::StatusOr<std::vector<FamilyPlan>> PoolNetwork::MakePlans() {
  PINION_ASSIGN_OR_RETURN(const std::vector<IpRange> ranges,
                          ParseRanges(range_));
  std::vector<std::optional<NodeAddress>> known;
  std::vector<IpAddress> nodes;
  for (const IpRange& range : ranges) {
    known.push_back(RememberedNodeAddress(options_, range));
    if (known.back()) nodes.push_back(known.back()->address);
  }
  PINION_ASSIGN_OR_RETURN(std::vector<FamilyPlan> plans,
                          kind_->Plan(host_, &*parent_, ranges, nodes));
  for (size_t i = 0; i < plans.size(); ++i) {
    FamilyPlan& plan = plans[i];
    if (!known[i] || !plan.node) continue;
    plan.node_mac = known[i]->mac;
    if (*plan.node != known[i]->address) {
      if (!new_nodes_told_.insert(plan.node->ToString()).second) continue;
      Log(LogLevel::kWarning,
          "running pods do not reach the node by its new address: delete them",
          {{"range", plan.range.name()},
           {"address", plan.node->ToString()},
           {"known", known[i]->address.ToString()}});
    } else if (plan.node_on_host_link && !known[i]->on_host_link) {
      // Not on the host link: whoever gives it back to the parent asks first
      // whether somebody has it (RFC 5227, RFC 4862), and would be told so.
      return NodeAddressGone(plan.range, *plan.node, *parent_);
    }
  }
  return plans;
}

absl::StatusOr<bool> PoolNetwork::ParentHas(const IpAddress& address) {
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> present,
                          ListAddresses(host_, parent_->index));
  return std::any_of(present.begin(), present.end(),
                     [&address](const LinkAddress& other) {
                       return other.address == address;
                     });
}

absl::Status PoolNetwork::CheckNodeAddresses() {
  for (const AddressSpace& space : spaces_) {
    const FamilyPlan& plan = space.plan;
    if (!plan.node || plan.node_on_host_link) continue;
    PINION_ASSIGN_OR_RETURN(const bool there, ParentHas(*plan.node));
    if (!there) return NodeAddressGone(plan.range, *plan.node, *parent_);
  }
  return absl::OkStatus();
}

void PoolNetwork::YieldNodeAddresses() {
  // An ipvlan's cannot be the parent's, and a bridge is both.
  if (options_.mode != Options::Mode::kMacvlan) return;
  for (AddressSpace& space : spaces_) {
    FamilyPlan& plan = space.plan;
    if (!plan.node || !plan.node_on_host_link) continue;
    const absl::StatusOr<bool> there = ParentHas(*plan.node);
    // It is looked for again.
    if (!there.ok() || !*there) continue;
    plan.node_on_host_link = false;
    Log(LogLevel::kInfo, "the node's address is the parent device's now",
        {{"address", plan.node->ToString()}, {"parent", parent_->name}});
    const absl::Status kept =
        RememberNodeAddress(options_, plan, HostLinkMac(Plans()));
    if (kept.ok()) continue;
    Log(LogLevel::kWarning, "a restart will not know whose the address was",
        {{"error", kept.ToString()}});
  }
}

absl::Status PoolNetwork::Reconcile(const std::vector<KnownPod>& pods) {
  for (const KnownPod& pod : pods) {
    PINION_RETURN_IF_ERROR_AS(Owner::FromId(pod.pod_id).status(),
                              "reconcile addresses");
  }
  absl::MutexLock lock(&mutex_);
  ++generation_;
  {
    absl::MutexLock known_lock(&known_mutex_);
    known_ = pods;
  }
  RestorePorts(pods);
  // Whatever becomes of ports: nobody else gets a running pod's address.
  absl::Status result = Settle();
  result.Update(RestoreHostPorts(pods));
  return result;
}

void PoolNetwork::Forget(const std::string& pod_id) {
  absl::MutexLock lock(&known_mutex_);
  if (!known_) return;
  std::erase_if(
      *known_, [&pod_id](const KnownPod& pod) { return pod.pod_id == pod_id; });
}

absl::Status PoolNetwork::Settle() {
  absl::MutexLock lock(&known_mutex_);
  if (!known_ || spaces_.empty()) return absl::OkStatus();
  std::set<Owner> owners;
  for (const KnownPod& pod : *known_) {
    PINION_ASSIGN_OR_RETURN(const Owner owner, Owner::FromId(pod.pod_id));
    owners.insert(owner);
  }
  for (const AddressSpace& space : spaces_) {
    const uint64_t freed = space.pool->Sweep(
        [&owners](Owner owner) { return owners.count(owner) != 0; });
    if (freed == 0) continue;
    Log(LogLevel::kInfo, "freed addresses of pods that are gone",
        {{"pool", space.plan.range.name()}, {"addresses", freed}});
  }
  absl::Status result;
  for (const KnownPod& pod : *known_) {
    WarnOfEarlierRange(pod);
    for (const std::string& ip : pod.ips) {
      result.Update(
          Annotate(ClaimKnown(*Owner::FromId(pod.pod_id), ip),
                   absl::StrCat("address of pod ", ShortId(pod.pod_id))));
    }
  }
  return result;
}

void PoolNetwork::WarnOfEarlierRange(const KnownPod& pod) const {
  if (pod.is_elsewhere || pod.ips.empty()) return;
  for (const AddressSpace& space : spaces_) {
    for (const std::string& ip : pod.ips) {
      const absl::StatusOr<IpAddress> address = IpAddress::Parse(ip);
      if (address.ok() && space.plan.range.Contains(*address)) return;
    }
  }
  Log(LogLevel::kWarning,
      "a pod of an earlier range is not reached by the node: delete it",
      {{"pod", ShortId(pod.pod_id)}, {"address", pod.ips.front()}});
}

void PoolNetwork::WarnOfLostLinks() {
  const int index = parent_ ? parent_->index : 0;
  if (index == 0 || index == links_on_) return;
  const int before = std::exchange(links_on_, index);
  // A bridge's ports are plugged in again.
  if (before == 0 || kind_->HasPorts()) return;
  uint64_t in_use = 0;
  for (const AddressSpace& space : spaces_) {
    in_use = std::max(in_use, space.pool->GetUsage().in_use);
  }
  if (in_use == 0) return;
  Log(LogLevel::kWarning,
      "the parent device is another one: pods have lost their interface with "
      "the former, delete them",
      {{"parent", parent_->name}, {"pods", in_use}});
}

absl::Status PoolNetwork::ClaimKnown(Owner owner, const std::string& ip) {
  PINION_ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(ip));
  for (const AddressSpace& space : spaces_) {
    // Of an earlier range: nobody else can get it now.
    if (!space.plan.range.Contains(address)) continue;
    const absl::Status status = space.pool->ClaimAddress(owner, address);
    // Excluded by now: nobody gets it either.
    if (!absl::IsOutOfRange(status)) return status;
  }
  return absl::OkStatus();
}

}  // namespace pinion::network
