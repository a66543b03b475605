// The seam between the runtime and however pods get their addresses.
//
// Thread-safe: Attach and Detach of different pods run at the same time; for
// one pod the caller serialises them. Readiness takes no lock.

#ifndef PINION_NETWORK_POD_NETWORK_H_
#define PINION_NETWORK_POD_NETWORK_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::network {

// A port of the node that leads to the pod.
struct HostPort {
  enum class Protocol { kTcp, kUdp, kSctp };
  Protocol protocol = Protocol::kTcp;
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  // One of the node's addresses; empty, 0.0.0.0 or ::: all of them.
  std::string host_ip;
};

// An interface that a pod asks for besides its first.
struct SecondaryRequest {
  std::string network;
  std::string interface_name;
  // At most one of each family; those that are missing are chosen.
  std::vector<std::string> addresses = {};
};

// What it got.
struct SecondaryInterface {
  std::string network;
  std::string interface_name;
  // Without prefix length.
  std::vector<std::string> ips;
  std::string mac;
  // The host's device that it stands on.
  std::string parent;
};

struct AttachRequest {
  std::string pod_id;
  // The pod's network namespace; borrowed for the call.
  int netns_fd = -1;
  // A NETLINK_ROUTE socket that was opened inside that namespace (a netlink
  // socket belongs to the namespace it was made in, so no setns is needed to
  // configure it); borrowed for the call.
  int netns_route_socket = -1;
  // Whether interfaces that are made there heed router advertisements: what
  // HeedsRouters says of the mode.
  bool heeds_routers = false;
  std::vector<HostPort> host_ports = {};
  // Who it is for Kubernetes; what plugins of others are told.
  std::string pod_namespace = {};
  std::string pod_name = {};
  std::string pod_uid = {};
  // The mode that the pod asks for; empty: the node's (network.mode).
  std::string mode = {};
  // 0: no limit. What comes in is limited where the mode can: "bridge", "cni".
  uint64_t ingress_bits_per_second = 0;
  uint64_t egress_bits_per_second = 0;
  std::vector<SecondaryRequest> secondary = {};
};

struct PodAddresses {
  // Without prefix length. Empty in mode `none`.
  std::string ip;
  std::vector<std::string> additional_ips;
  std::string interface_name;
  std::string mac;
  // In the order of the request.
  std::vector<SecondaryInterface> secondary = {};
};

struct Readiness {
  bool ready = false;
  // CamelCase, for a condition; empty when ready.
  std::string reason;
  // For people: what is wrong and what to do.
  std::string message;
};

// Whether it may become well without anything that tells so: a full disk, a
// kernel that refuses, another device that leaves the range to the pods (the
// kernel drops the routes of one that is set down in silence). Then whoever is
// not ready looks again every kLookAgain. Of the parent, its addresses and a
// PodCIDR the kernel, or the kubelet, tells.
constexpr std::chrono::seconds kLookAgain(5);
inline bool MayMendUnnoticed(const Readiness& readiness) {
  return !readiness.ready && (readiness.reason.ends_with("Failed") ||
                              readiness.reason == "RangeUnusable");
}

// A configured network for further interfaces. One that is not ready refuses
// the pods that ask for it and no other.
struct SecondaryState {
  std::string network;
  // "eth1", "eth1 vlan 100".
  std::string parent;
  Readiness readiness;
};

// What the records say of a pod that still owns its addresses.
struct KnownPod {
  std::string pod_id;
  std::vector<std::string> ips;
  std::vector<HostPort> host_ports = {};
  // Where its network namespace may be found; empty: unknown.
  std::string netns_path = {};
  std::vector<SecondaryInterface> secondary = {};
  // As in its AttachRequest.
  std::string mode = {};
  // Its first interface is another network's than the one that is told.
  bool is_elsewhere = false;
};

class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // Gives the namespace its interfaces and addresses, brings up loopback.
  // Idempotent per pod id. A failure leaves no address claimed and no link.
  // ResourceExhausted: no free address. Unavailable: none that former pods'
  // links have let go of; again later. FailedPrecondition: not ready, with the
  // reason. AlreadyExists: another pod has one of the host ports, or an
  // address that was asked for. InvalidArgument: see CheckMode, CheckSecondary.
  virtual absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) = 0;

  // Frees the pod's addresses and host ports. Whatever is already gone counts
  // as success; the link goes with its namespace and is never deleted by hand.
  virtual absl::Status Detach(const std::string& pod_id) = 0;

  virtual Readiness GetReadiness() const = 0;

  // InvalidArgument if no such mode is enabled; empty is the node's own.
  // Changes nothing; what an Attach does first.
  virtual absl::Status CheckMode(const std::string& mode) const {
    if (mode.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("network mode \"" + mode +
                                      "\" is not enabled on this node");
  }

  // Whether pods of that mode learn addresses and routes from what routers
  // announce (SLAAC), as Linux does unless it is told not to. Where addresses
  // are a pool's they shall not: a pod of an IPv4 range would come to an IPv6
  // address and a default route (the kernel takes prefixes also on links
  // without a link-local address, addrconf_prefix_rcv), and a neighbour could
  // make itself its router. Interfaces take net.ipv6.conf.default.accept_ra
  // when they are made, so it is the namespace's maker who sees to it.
  virtual bool HeedsRouters(const std::string& mode) const {
    (void)mode;
    return false;
  }

  // InvalidArgument if there is no such network, two interfaces have one
  // name, or an address is none of the network's. Changes nothing; what an
  // Attach does first.
  virtual absl::Status CheckSecondary(
      const std::vector<SecondaryRequest>& requests) const {
    if (requests.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "no network \"" + requests.front().network + "\" is configured");
  }

  // By name.
  virtual std::vector<SecondaryState> GetSecondary() const { return {}; }

  // UpdateRuntimeConfig. Comma-separated for dual stack. InvalidArgument if
  // it is no usable range; FailedPrecondition while addresses of another
  // range are in use. The same value again is success; an empty one is
  // ignored.
  virtual absl::Status SetPodCidr(const std::string& pod_cidr) = 0;

  // At start: claims for the known pods what the records say they own, and
  // frees every address whose owner is not among them.
  virtual absl::Status Reconcile(const std::vector<KnownPod>& pods) = 0;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_POD_NETWORK_H_
