// network.mode = "bridge": pods are on a bridge of pinion's own, whose address
// is their gateway; what leaves it is routed, under the node's address. For
// laptops and clouds, where only the MACs and addresses that are known get
// through.
//
// The bridge is parent and node link in one. It forwards (IPv4's setting of
// this one device); whether the node's other devices do is the node's affair,
// and readiness tells.
//
// Immutable, so thread-safe; one thread at a time per socket.

#ifndef PINION_NETWORK_BRIDGE_KIND_H_
#define PINION_NETWORK_BRIDGE_KIND_H_

#include <string>
#include <vector>

#include "network/link_kind.h"

namespace pinion::network {

class BridgeKind final : public LinkKind {
 public:
  explicit BridgeKind(const Options& options) : options_(options) {}

  std::string ParentName() const override;
  absl::StatusOr<Link> EnsureParent(os::NetlinkSocket& host) const override;
  // Without a pod it has no carrier.
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
  uint32_t NodeGroups() const override;
  bool ConcernsNode(const os::NetlinkMessage& message, const Link& parent,
                    int node_link) const override;
  bool HasPorts() const override;
  bool HasNeighbours() const override;

 private:
  const Options options_;
};

// Removes the bridge and what is plugged into it; missing is success,
// FailedPrecondition for somebody else's.
absl::Status RemoveBridge(os::NetlinkSocket& host, const std::string& name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_BRIDGE_KIND_H_
