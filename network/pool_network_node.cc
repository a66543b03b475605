// Of PoolNetwork: the node's own part, its link and its rules, and what the
// kernel tells of changes.

#include <linux/rtnetlink.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "network/modes.h"
#include "network/node_routes.h"
#include "network/pool_network.h"
#include "network/source_nat.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;

constexpr std::chrono::seconds kLossPause(1);

Readiness Ready() { return {true, "", ""}; }

Readiness NotReady(const std::string& reason, const absl::Status& status) {
  return {.ready = false,
          .reason = reason,
          .message = std::string(status.message())};
}

bool IsNode(const std::vector<FamilyPlan>& plans, const IpAddress& address) {
  return std::any_of(
      plans.begin(), plans.end(),
      [&address](const FamilyPlan& plan) { return plan.node == address; });
}

}  // namespace

uint64_t PoolNetwork::AddressesInUse() const {
  uint64_t in_use = 0;
  for (const AddressSpace& space : spaces_) {
    in_use += space.pool->GetUsage().in_use;
  }
  return in_use;
}

bool PoolNetwork::IsUnused() {
  absl::ReaderMutexLock lock(&mutex_);
  return AddressesInUse() == 0;
}

Readiness PoolNetwork::SetUpNodeLink(const std::vector<FamilyPlan>& plans) {
  if (kind_->Works(*parent_)) {
    const absl::Status there = CheckNodeAddresses();
    if (!there.ok()) return NotReady("NodeAddressGone", there);
  }
  const absl::StatusOr<Link> link =
      kind_->EnsureNodeLink(host_, *parent_, plans);
  if (!link.ok()) {
    // Not the kernel's own EINVAL.
    const bool range = absl::IsInvalidArgument(link.status()) &&
                       os::NetlinkErrno(link.status()) == 0;
    return NotReady(range ? "RangeUnusable" : "HostLinkFailed", link.status());
  }
  node_link_ = link->index;
  node_mac_ = link->mac;
  return Ready();
}

Readiness PoolNetwork::SetUpRules(const std::vector<FamilyPlan>& plans) {
  absl::StatusOr<std::vector<IpAddress>> aliases =
      kind_->NodeAliases(host_, *parent_);
  if (!aliases.ok()) return NotReady("HostLinkFailed", aliases.status());
  node_aliases_ = *std::move(aliases);

  const SourceNat nat = kind_->SourceNatFor(plans, node_aliases_);
  absl::Status rules = netfilter_.status();
  if (rules.ok()) {
    rules = ReplaceSourceNat(*netfilter_, NodeLinkName(options_), nat);
  }
  // If none is needed there was at most something to remove.
  if (NeedsRules(nat) && !rules.ok()) {
    return NotReady("SourceNatFailed",
                    Annotate(rules, "services and masquerade need nf_tables"));
  }
  if (kind_->HasPorts()) {
    const absl::Status ports = ports_.Restore(host_, *netfilter_, *parent_);
    if (!ports.ok()) return NotReady("BridgePortsFailed", ports);
  }
  if (host_ports_known_) {
    const absl::Status ports = ApplyHostPorts();
    if (!ports.ok()) return NotReady("HostPortsFailed", ports);
  }
  return Ready();
}

Readiness PoolNetwork::SetUpNode() {
  const std::vector<FamilyPlan> plans = Plans();
  const Readiness link = SetUpNodeLink(plans);
  if (!link.ready) {
    // For nobody they would only be in the way of others' packets.
    const bool rules_apart =
        link.reason == "RangeUnusable" || link.reason == "NodeAddressGone";
    if (rules_apart && AddressesInUse() != 0) (void)SetUpRules(plans);
    return link;
  }
  Readiness rules = SetUpRules(plans);
  if (!rules.ready) return rules;
  const absl::StatusOr<Readiness> node =
      kind_->CheckNode(host_, *parent_, plans);
  return node.ok() ? *node : NotReady("HostLinkFailed", node.status());
}

void PoolNetwork::OnLinkEvents() {
  std::optional<Link> known;
  std::vector<FamilyPlan> plans;
  int node_link = 0;
  {
    absl::ReaderMutexLock lock(&mutex_);
    known = parent_;
    node_link = node_link_;
    plans = Plans();
  }
  const std::string parent = kind_->ParentName();
  const bool ipvlan = options_.mode == Options::Mode::kIpvlan;
  bool changed = false;
  const absl::Status status =
      events_->Receive([&](const os::NetlinkMessage& message) {
        changed |= known && kind_->ConcernsNode(message, *known, node_link);
        changed |= IsNodeRouteLoss(message, node_link, plans);
        if (const auto unplugged = ParseUnplugging(message)) {
          changed |= IsPodsPort(unplugged->name);
        }
        if (const auto address = ParseAddressChange(message)) {
          // With the node's address the kernel takes routes away, and gives
          // none back; a device may get it some time after its link is up.
          // On an ipvlan pods are told of all of the parent's, and before
          // the first pod all of them count.
          changed |= known && address->link_index == known->index &&
                     (!GetReadiness().ready || ipvlan ||
                      IsNode(plans, address->address) || IsUnused());
          return;
        }
        const std::optional<Link> link = ParseLink(message);
        if (!link) return;
        const bool gone = message.type() == RTM_DELLINK;
        if (link->name == parent) {
          changed |= gone || !known || link->index != known->index ||
                     link->mac != known->mac || link->mtu != known->mtu ||
                     kind_->Works(*link) != kind_->Works(*known);
        } else if (known && link->index == known->index) {
          changed = true;  // It has another name now.
        } else if (options_.host_link && link->name == NodeLinkName(options_)) {
          changed |= gone || !kind_->NodeLinkStands(*link);
        }
      });
  if (changed) {
    absl::MutexLock lock(&mutex_);
    Refresh();
  } else if (!status.ok()) {
    // Messages were lost: look at everything.
    RefreshAfterLoss();
  }
}

void PoolNetwork::RefreshAfterLoss() {
  using std::chrono::steady_clock;
  if (std::exchange(loss_pending_, true)) return;
  const auto pause = next_after_loss_ - steady_clock::now();
  reactor_->After(std::max(steady_clock::duration(0), pause), [this] {
    loss_pending_ = false;
    {
      absl::MutexLock lock(&mutex_);
      Refresh();
    }
    next_after_loss_ = steady_clock::now() + kLossPause;
  });
}

}  // namespace pinion::network
