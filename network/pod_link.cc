#include "network/pod_link.h"

#include <errno.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkSocket;

// The first device of every network namespace (net/core/net_namespace.c).
constexpr int kLoopbackIndex = 1;

// The number asked for, so that nobody need ask which one it got. Kernels
// before 6.14 look for it in the host's namespace, too, so it must be one
// that no host's counter reaches.
constexpr int kPodLinkIndex = 0x70697065;

void AppendRoutes(NetlinkBatch& batch, const PodLinkSpec& spec, int index,
                  const FamilyPlan& plan) {
  const int bits = plan.subnet.network().bits();
  RouteSpec route;
  route.link_index = index;
  if (plan.node && !plan.subnet.Contains(*plan.node)) {
    route.destination = IpPrefix::Around(*plan.node, bits);
    AppendRoute(batch, route, spec.name);
  }
  if (plan.services && plan.node) {
    route.destination = *plan.services;
    route.via = plan.node;
    AppendRoute(batch, route, spec.name);
  }
  route.via = plan.gateway ? plan.gateway : plan.node;
  if (route.via) {
    route.destination = IpPrefix::Around(plan.subnet.network(), 0);
    AppendRoute(batch, route, spec.name);
  }
}

absl::Status Configure(NetlinkSocket& pod, const PodLinkSpec& spec, int index,
                       const std::vector<PodAddress>& addresses) {
  NetlinkBatch batch;
  AppendLinkUp(batch, kLoopbackIndex, "lo");
  const bool has_ipv6 = std::any_of(
      addresses.begin(), addresses.end(),
      [](const PodAddress& address) { return !address.address.is_v4(); });
  if (!has_ipv6) AppendNoIpv6LinkLocal(batch, index, spec.name);
  for (const PodAddress& address : addresses) {
    AppendAddress(batch, index, spec.name, address.address,
                  address.plan->subnet.length());
  }
  AppendLinkUp(batch, index, spec.name);
  for (const PodAddress& address : addresses) {
    if (address.plan->node) {
      AppendNeighbour(batch, index, spec.name, *address.plan->node,
                      spec.node_mac);
    }
    AppendRoutes(batch, spec, index, *address.plan);
  }
  return pod.Transact(batch);
}

absl::Status Create(NetlinkSocket& host, int netns_fd, const PodLinkSpec& spec,
                    int index) {
  NetlinkBatch batch;
  AppendMacvlan(batch, {.name = spec.name,
                        .parent_index = spec.parent_index,
                        .mac = spec.mac,
                        .mtu = spec.mtu,
                        .netns_fd = netns_fd,
                        .index = index});
  return host.Transact(batch);
}

}  // namespace

absl::StatusOr<PodLink> CreatePodLink(NetlinkSocket& host, NetlinkSocket& pod,
                                      int netns_fd, const PodLinkSpec& spec) {
  const absl::Status status = Create(host, netns_fd, spec, kPodLinkIndex);
  if (status.ok()) return PodLink{kPodLinkIndex, true};
  if (os::NetlinkErrno(status) != EEXIST && os::NetlinkErrno(status) != EBUSY) {
    return status;
  }
  // The name or the number is taken; by an earlier attach?
  const absl::StatusOr<Link> present = FindLink(pod, spec.name);
  if (present.status().code() == absl::StatusCode::kNotFound) {
    PINION_RETURN_IF_ERROR(Create(host, netns_fd, spec, 0));
    PINION_ASSIGN_OR_RETURN(const Link made, FindLink(pod, spec.name));
    return PodLink{made.index, true};
  }
  PINION_RETURN_IF_ERROR(present.status());
  if (present->kind == "macvlan" && present->mac == spec.mac) {
    return PodLink{present->index, false};
  }
  return absl::AlreadyExistsError(
      absl::StrCat("the pod's namespace has another ", spec.name, " (",
                   MacToString(present->mac), ")"));
}

absl::Status ConfigurePodLink(NetlinkSocket& pod, const PodLinkSpec& spec,
                              const PodLink& link,
                              const std::vector<PodAddress>& addresses) {
  const absl::Status status = Configure(pod, spec, link.index, addresses);
  if (!status.ok() && link.fresh) {
    // The one case in which a pod's link is deleted by hand: its namespace
    // stays, and a retry would meet it.
    NetlinkBatch batch;
    AppendLinkDeletion(batch, link.index, spec.name);
    // Nothing more can be done if this fails, too: the first error counts.
    (void)pod.Transact(batch);
  }
  return status;
}

absl::Status BringUpLoopback(NetlinkSocket& pod) {
  NetlinkBatch batch;
  AppendLinkUp(batch, kLoopbackIndex, "lo");
  return pod.Transact(batch);
}

}  // namespace pinion::network
