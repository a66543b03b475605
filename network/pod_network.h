// The seam between the runtime and however pods get their addresses.
//
// Thread-safe: Attach and Detach of different pods run at the same time; for
// one pod the caller serialises them. Readiness takes no lock.

#ifndef PINION_NETWORK_POD_NETWORK_H_
#define PINION_NETWORK_POD_NETWORK_H_

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

struct AttachRequest {
  std::string pod_id;
  // The pod's network namespace; borrowed for the call.
  int netns_fd = -1;
  // A NETLINK_ROUTE socket that was opened inside that namespace (a netlink
  // socket belongs to the namespace it was made in, so no setns is needed to
  // configure it); borrowed for the call.
  int netns_route_socket = -1;
  std::vector<HostPort> host_ports = {};
  // Who it is for Kubernetes; what plugins of others are told.
  std::string pod_namespace = {};
  std::string pod_name = {};
  std::string pod_uid = {};
  // 0: no limit. Where the network can (mode "cni").
  uint64_t ingress_bits_per_second = 0;
  uint64_t egress_bits_per_second = 0;
};

struct PodAddresses {
  // Without prefix length. Empty in mode `none`.
  std::string ip;
  std::vector<std::string> additional_ips;
  std::string interface_name;
  std::string mac;
};

struct Readiness {
  bool ready = false;
  // CamelCase, for a condition; empty when ready.
  std::string reason;
  // For people: what is wrong and what to do.
  std::string message;
};

// What the records say of a pod that still owns its addresses.
struct KnownPod {
  std::string pod_id;
  std::vector<std::string> ips;
  std::vector<HostPort> host_ports = {};
  // Where its network namespace may be found; empty: unknown.
  std::string netns_path = {};
};

class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // Gives the namespace its interface and addresses, brings up loopback.
  // Idempotent per pod id. A failure leaves no address claimed and no link.
  // ResourceExhausted: no free address. FailedPrecondition: not ready, with
  // the reason. AlreadyExists: another pod has one of the host ports.
  virtual absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) = 0;

  // Frees the pod's addresses and host ports. Whatever is already gone counts
  // as success; the link goes with its namespace and is never deleted by hand.
  virtual absl::Status Detach(const std::string& pod_id) = 0;

  virtual Readiness GetReadiness() const = 0;

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
