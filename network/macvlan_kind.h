// network.mode = "macvlan": every pod has an interface of its own on the
// node's parent device, with a MAC of its own, in the same L2 network as the
// node's neighbours.
//
// Immutable but for what EnsureNodeLink remembers, which is for one thread at
// a time; one thread at a time per socket.

#ifndef PINION_NETWORK_MACVLAN_KIND_H_
#define PINION_NETWORK_MACVLAN_KIND_H_

#include <string>
#include <vector>

#include "network/host_link.h"
#include "network/link_kind.h"

namespace pinion::network {

class MacvlanKind final : public LinkKind {
 public:
  explicit MacvlanKind(const Options& options) : options_(options) {}

  std::string ParentName() const override;
  absl::StatusOr<Link> EnsureParent(os::NetlinkSocket& host) const override;
  bool Works(const Link& parent) const override;
  absl::StatusOr<std::vector<FamilyPlan>> Plan(
      os::NetlinkSocket& host, const Link* parent,
      const std::vector<ipam::IpRange>& ranges,
      const std::vector<ipam::IpAddress>& nodes) const override;
  absl::StatusOr<Link> EnsureNodeLink(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const override;
  absl::StatusOr<Readiness> CheckNode(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const override;
  SourceNat SourceNatFor(
      const std::vector<FamilyPlan>& plans,
      const std::vector<ipam::IpAddress>& aliases) const override;
  PodLinkSpec PodLinkFor(const Link& parent,
                         const ipam::IpAddress& address) const override;
  bool HasNeighbours() const override;

 private:
  const Options options_;
  mutable Misplaced misplaced_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_MACVLAN_KIND_H_
