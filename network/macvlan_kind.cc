#include "network/macvlan_kind.h"

#include "base/status_macros.h"
#include "network/host_link.h"
#include "network/mac.h"
#include "network/parent.h"

namespace pinion::network {

std::string MacvlanKind::ParentName() const {
  return network::ParentName(options_);
}

absl::StatusOr<Link> MacvlanKind::EnsureParent(os::NetlinkSocket& host) const {
  return network::EnsureParent(host, options_);
}

bool MacvlanKind::Works(const Link& parent) const {
  return parent.up && parent.carrier;
}

absl::StatusOr<std::vector<FamilyPlan>> MacvlanKind::Plan(
    os::NetlinkSocket& host, const Link* parent,
    const std::vector<ipam::IpRange>& ranges,
    const std::vector<ipam::IpAddress>& nodes) const {
  std::vector<LinkAddress> addresses;
  if (parent != nullptr) {
    PINION_ASSIGN_OR_RETURN(addresses, ListAddresses(host, parent->index));
  }
  return PlanAddresses(WithNodes(options_, nodes), ranges, addresses);
}

absl::StatusOr<Link> MacvlanKind::EnsureNodeLink(
    os::NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  return EnsureHostLink(host, options_, parent, plans, misplaced_);
}

absl::StatusOr<Readiness> MacvlanKind::CheckNode(
    os::NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  (void)host;
  (void)parent;
  (void)plans;
  return Readiness{true, "", ""};
}

SourceNat MacvlanKind::SourceNatFor(
    const std::vector<FamilyPlan>& plans,
    const std::vector<ipam::IpAddress>& aliases) const {
  (void)aliases;
  return {.plans = plans};
}

PodLinkSpec MacvlanKind::PodLinkFor(const Link& parent,
                                    const ipam::IpAddress& address) const {
  PodLinkSpec spec{.name = options_.interface_name,
                   .parent_index = parent.index,
                   .mac = MacFor(address)};
  // Otherwise the kernel takes the parent's.
  if (options_.mtu < parent.mtu) spec.mtu = options_.mtu;
  spec.parent_mtu = parent.mtu;
  return spec;
}

// Nobody but pinion is on the automatic parent.
bool MacvlanKind::HasNeighbours() const {
  return options_.parent != kAutoParent;
}

}  // namespace pinion::network
