#include "network/pod_link.h"

#include <errno.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "network/parent.h"
#include "network/rate_limit.h"

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

// Each family's own only.
void AppendAliases(NetlinkBatch& batch, const PodLinkSpec& spec, int index,
                   const FamilyPlan& plan) {
  for (const IpAddress& alias : spec.node_aliases) {
    if (alias.family() != plan.range.family()) continue;
    if (!plan.subnet.Contains(alias)) {
      RouteSpec route;
      route.link_index = index;
      route.destination = IpPrefix::Around(alias, alias.bits());
      AppendRoute(batch, route, spec.name);
    }
    AppendNeighbour(batch, index, spec.name, alias, spec.node_mac);
  }
}

absl::Status Configure(NetlinkSocket& pod, const PodLinkSpec& spec, int index,
                       const std::vector<PodAddress>& addresses) {
  NetlinkBatch batch;
  AppendLinkUp(batch, kLoopbackIndex, "lo");
  const bool has_ipv6 = std::any_of(
      addresses.begin(), addresses.end(),
      [](const PodAddress& address) { return !address.address.is_v4(); });
  const uint32_t known_mtu = spec.mtu != 0 ? spec.mtu : spec.parent_mtu;
  const uint32_t mtu = known_mtu != 0 ? known_mtu : kLeastIpv6Mtu;
  if (!has_ipv6) AppendNoIpv6LinkLocal(batch, index, spec.name, mtu);
  for (const PodAddress& address : addresses) {
    AppendAddress(batch, index, spec.name, address.address,
                  address.plan->subnet.length());
  }
  if (spec.egress_bits_per_second != 0) {
    AppendRateLimit(batch, index, spec.name, spec.egress_bits_per_second);
  }
  AppendLinkUp(batch, index, spec.name);
  for (const PodAddress& address : addresses) {
    if (address.plan->node) {
      AppendNeighbour(batch, index, spec.name, *address.plan->node,
                      spec.node_mac);
    }
    AppendAliases(batch, spec, index, *address.plan);
    AppendRoutes(batch, spec, index, *address.plan);
  }
  return pod.Transact(batch);
}

absl::Status Create(NetlinkSocket& host, int netns_fd, const PodLinkSpec& spec,
                    int index) {
  NetlinkBatch batch;
  switch (spec.kind) {
    case PodLinkSpec::Kind::kMacvlan:
      AppendMacvlan(batch, {.name = spec.name,
                            .parent_index = spec.parent_index,
                            .mac = spec.mac,
                            .mtu = spec.mtu,
                            .netns_fd = netns_fd,
                            .index = index,
                            .mode = spec.mode});
      break;
    case PodLinkSpec::Kind::kIpvlan:
      AppendIpvlan(batch, {.name = spec.name,
                           .parent_index = spec.parent_index,
                           .mode = spec.ipvlan_mode,
                           .mtu = spec.mtu,
                           .netns_fd = netns_fd,
                           .index = index});
      break;
    case PodLinkSpec::Kind::kVeth: {
      const std::string port_name = PortName(spec.mac);
      AppendVethToPod(batch, {.name = spec.name,
                              .mac = spec.mac,
                              .mtu = spec.mtu,
                              .netns_fd = netns_fd,
                              .index = index,
                              .port_name = port_name});
      // Before anything is done to the port: the kernel goes on after a
      // request that failed, and who has the name may be somebody else's.
      PINION_RETURN_IF_ERROR(host.Transact(batch));
      PINION_ASSIGN_OR_RETURN(const Link port, FindLink(host, port_name));
      NetlinkBatch plug;
      AppendPlugIn(plug,
                   {.name = port.name,
                    .index = port.index,
                    .bridge_index = spec.parent_index,
                    .mtu = port.mtu,
                    .pod_mac = spec.mac},
                   kOwnAlias);
      if (spec.ingress_bits_per_second != 0) {
        AppendRateLimit(plug, port.index, port.name,
                        spec.ingress_bits_per_second);
      }
      return host.Transact(plug);
    }
  }
  return host.Transact(batch);
}

// As the kernel names it.
const char* KindName(PodLinkSpec::Kind kind) {
  switch (kind) {
    case PodLinkSpec::Kind::kMacvlan:
      break;
    case PodLinkSpec::Kind::kIpvlan:
      return "ipvlan";
    case PodLinkSpec::Kind::kVeth:
      return "veth";
  }
  return "macvlan";
}

void Delete(NetlinkSocket& pod, int index, const std::string& name) {
  NetlinkBatch batch;
  AppendLinkDeletion(batch, index, name);
  // Nothing more can be done if this fails, too: the first error counts.
  (void)pod.Transact(batch);
}

// Is what has the name from an earlier attach?
bool IsOurs(const Link& link, const PodLinkSpec& spec) {
  return link.kind == KindName(spec.kind) && link.mac == spec.mac;
}

}  // namespace

std::string PortName(const MacAddress& mac) {
  return absl::StrCat("pn-",
                      absl::StrReplaceAll(MacToString(mac), {{":", ""}}));
}

bool AddressStillHeld(const absl::Status& status) {
  return os::NetlinkErrno(status) == EADDRINUSE || absl::IsAborted(status);
}

absl::StatusOr<PodLink> CreatePodLink(NetlinkSocket& host, NetlinkSocket& pod,
                                      int netns_fd, const PodLinkSpec& spec) {
  const int index = kPodLinkIndex + spec.ordinal;
  absl::Status status = Create(host, netns_fd, spec, index);
  if (status.ok()) return PodLink{index, true};
  const bool taken =
      os::NetlinkErrno(status) == EEXIST || os::NetlinkErrno(status) == EBUSY;
  // Of a veth the first request may have done its work.
  if (!taken && spec.kind != PodLinkSpec::Kind::kVeth) return status;
  // The name or the number is taken; by an earlier attach?
  const absl::StatusOr<Link> present = FindLink(pod, spec.name);
  if (!taken) {
    if (present.ok() && IsOurs(*present, spec)) {
      Delete(pod, present->index, spec.name);
    }
    return status;
  }
  if (present.status().code() == absl::StatusCode::kNotFound) {
    status = Create(host, netns_fd, spec, 0);
    if (spec.kind == PodLinkSpec::Kind::kVeth &&
        os::NetlinkErrno(status) == EEXIST) {
      return absl::AbortedError(
          absl::StrCat("the port of the address's former pod is not gone yet: ",
                       std::string(status.message())));
    }
    PINION_RETURN_IF_ERROR(status);
    PINION_ASSIGN_OR_RETURN(const Link made, FindLink(pod, spec.name));
    return PodLink{made.index, true};
  }
  PINION_RETURN_IF_ERROR(present.status());
  if (IsOurs(*present, spec)) return PodLink{present->index, false};
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
    Delete(pod, link.index, spec.name);
  }
  return status;
}

void DeletePodLink(NetlinkSocket& pod, const PodLinkSpec& spec,
                   const PodLink& link) {
  Delete(pod, link.index, spec.name);
}

absl::Status BringUpLoopback(NetlinkSocket& pod) {
  NetlinkBatch batch;
  AppendLinkUp(batch, kLoopbackIndex, "lo");
  return pod.Transact(batch);
}

}  // namespace pinion::network
