// How one mode makes the links by which pods, the node and the neighbours
// reach each other. All else (pools, readiness, host ports, recovery) is
// PoolNetwork's and the same for every mode.
//
// Two devices of the node matter: the parent, which pods' links stand on, and
// the node link, by which the node reaches its pods. In mode "bridge" they
// are one.
//
// Immutable, so thread-safe, but for EnsureNodeLink: one thread at a time; one
// thread at a time per socket.

#ifndef PINION_NETWORK_LINK_KIND_H_
#define PINION_NETWORK_LINK_KIND_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "ipam/ip_range.h"
#include "network/addressing.h"
#include "network/options.h"
#include "network/pod_link.h"
#include "network/pod_network.h"
#include "network/rtnl.h"
#include "network/source_nat.h"
#include "os/netlink.h"

namespace pinion::network {

class LinkKind {
 public:
  // Of options.mode, one of those whose addresses are pinion's.
  static std::unique_ptr<const LinkKind> Of(const Options& options);
  virtual ~LinkKind() = default;

  virtual std::string ParentName() const = 0;
  // The parent as it is; made if it is one of pinion's own. NotFound: there
  // is none of that name. AlreadyExists: pinion's has a name that is taken.
  virtual absl::StatusOr<Link> EnsureParent(os::NetlinkSocket& host) const = 0;
  // Whether pods can be reached over it.
  virtual bool Works(const Link& parent) const = 0;

  // Who has which address. `parent` nullptr: not known yet. `nodes`: those
  // that pods know the node by, which counts where the options name none.
  // InvalidArgument as PlanAddresses.
  virtual absl::StatusOr<std::vector<FamilyPlan>> Plan(
      os::NetlinkSocket& host, const Link* parent,
      const std::vector<ipam::IpRange>& ranges,
      const std::vector<ipam::IpAddress>& nodes) const = 0;

  // The node link with its addresses and routes, made or brought into this
  // state. Its MAC is what pods know the node by.
  virtual absl::StatusOr<Link> EnsureNodeLink(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const = 0;

  // Whether the node link is still as EnsureNodeLink left it, as far as the
  // link itself says.
  virtual bool NodeLinkStands(const Link& link) const { return link.up; }

  // What else of the node must be so for pods to be of use; the first that is
  // not.
  virtual absl::StatusOr<Readiness> CheckNode(
      os::NetlinkSocket& host, const Link& parent,
      const std::vector<FamilyPlan>& plans) const = 0;

  // Addresses of the node besides its plans' that pods must be told of, for
  // nobody answers them.
  virtual absl::StatusOr<std::vector<ipam::IpAddress>> NodeAliases(
      os::NetlinkSocket& host, const Link& parent) const;

  virtual SourceNat SourceNatFor(
      const std::vector<FamilyPlan>& plans,
      const std::vector<ipam::IpAddress>& aliases) const = 0;

  // The link of a pod whose first address is `address`.
  virtual PodLinkSpec PodLinkFor(const Link& parent,
                                 const ipam::IpAddress& address) const = 0;

  // Groups of rtnetlink's messages (RTMGRP_…) that CheckNode depends on, and
  // which of these tell that it may say something else now. `node_link`: the
  // node link's index; 0: there is none yet.
  virtual uint32_t NodeGroups() const { return 0; }
  virtual bool ConcernsNode(const os::NetlinkMessage& message,
                            const Link& parent, int node_link) const;

  // Whether pods are plugged into the parent, by ports of the node's.
  virtual bool HasPorts() const { return false; }

  // Whether there are neighbours to tell where an address is now.
  virtual bool HasNeighbours() const = 0;

 protected:
  // With these as node_address, where that has none of the family.
  static Options WithNodes(Options options,
                           const std::vector<ipam::IpAddress>& nodes);
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_LINK_KIND_H_
