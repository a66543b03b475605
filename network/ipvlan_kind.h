// network.mode = "ipvlan": every pod has an interface of its own on the node's
// parent device, as with macvlan, but all of them have the parent's MAC: for
// ports that let one MAC through only.
//
// The host link is an ipvlan, too, with an address of its own: the kernel
// hands what arrives to whichever ipvlan has its destination, and to the
// parent only what none has. It neither asks nor answers for addresses
// (IFF_NOARP): what it sends to a pod goes there by its address alone.
//
// The mode (l2, l3s) belongs to the parent (Documentation/networking/ipvlan).
//
//   l2:  pods are neighbours of whoever is on the wire, as macvlans are. What
//        they send to the node's other addresses, or through it, comes in
//        over the parent, whereas the way back leads over the host link:
//        rp_filter must not be strict there.
//   l3s: what pods send is routed by the host, and passes its netfilter as
//        if the host had sent it; nobody answers for pods on the wire, so the
//        network outside must route the range to the node.
//
// Immutable but for what EnsureNodeLink remembers, which is for one thread at
// a time; one thread at a time per socket.

#ifndef PINION_NETWORK_IPVLAN_KIND_H_
#define PINION_NETWORK_IPVLAN_KIND_H_

#include <string>
#include <vector>

#include "network/host_link.h"
#include "network/link_kind.h"

namespace pinion::network {

class IpvlanKind final : public LinkKind {
 public:
  explicit IpvlanKind(const Options& options) : options_(options) {}

  std::string ParentName() const override;
  absl::StatusOr<Link> EnsureParent(os::NetlinkSocket& host) const override;
  bool Works(const Link& parent) const override;
  absl::StatusOr<std::vector<FamilyPlan>> Plan(
      os::NetlinkSocket& host, const Link* parent,
      const std::vector<ipam::IpRange>& ranges,
      const std::vector<ipam::IpAddress>& nodes) const override;
  // FailedPrecondition: the kernel has no ipvlan, or the parent is taken by
  // what goes with none, or by ipvlans of another mode.
  absl::StatusOr<Link> EnsureNodeLink(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const override;
  bool NodeLinkStands(const Link& link) const override;
  absl::StatusOr<Readiness> CheckNode(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const override;
  uint32_t NodeGroups() const override;
  bool ConcernsNode(const os::NetlinkMessage& message, const Link& parent,
                    int node_link) const override;
  absl::StatusOr<std::vector<ipam::IpAddress>> NodeAliases(
      os::NetlinkSocket& host, const Link& parent) const override;
  SourceNat SourceNatFor(
      const std::vector<FamilyPlan>& plans,
      const std::vector<ipam::IpAddress>& aliases) const override;
  PodLinkSpec PodLinkFor(const Link& parent,
                         const ipam::IpAddress& address) const override;
  bool HasNeighbours() const override;

 private:
  bool l3s() const { return options_.ipvlan_mode == IpvlanMode::kL3s; }
  absl::Status CheckUpperLinks(os::NetlinkSocket& host,
                               const Link& parent) const;
  // As it is to be, but for what belongs to the plans; no other of the name.
  absl::StatusOr<Link> EnsureLink(os::NetlinkSocket& host,
                                  const Link& parent) const;

  const Options options_;
  mutable Misplaced misplaced_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_IPVLAN_KIND_H_
