// The live check of `pinionctl net POD`: which ways are tried, trying them all
// at once, and what came of it. Why one fails: net_causes.h.
//
// Thread-safe.

#ifndef PINION_TOOLS_NET_CHECKS_H_
#define PINION_TOOLS_NET_CHECKS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/net_probes.h"
#include "tools/netns_view.h"

namespace pinion::tools {

// What daemon, configuration and pools say of the pod.
struct PodOnNetwork {
  std::string id;
  std::string title;  // "namespace/name"
  bool ready = false;
  bool host_network = false;
  bool user_namespace = false;
  std::string netns_path;
  std::vector<std::string> ips;
  std::string mac;
  std::vector<std::string> dns_servers;
  std::vector<std::string> dns_searches;
  bool own_dns = false;                 // else the node's resolv.conf
  std::vector<std::string> host_ports;  // "tcp 8080 -> 80"
  std::vector<std::pair<std::string, int64_t>> phases;  // name, nanoseconds
  // What it asked for, else the configuration's.
  std::string mode;
  // The configuration's.
  std::string parent;
  bool host_link = true;
  std::string host_link_name;
  std::string interface_name;
  std::string service_cidr;
  // Its addresses in the pools: "10.0.0.5 of 10.0.0.0/24, for 3m 20s".
  std::vector<std::string> pool_entries;
  // Why no pod can be attached now; empty if one can.
  std::string not_ready;
};

struct NetCheck {
  enum class Kind {
    kHostToPod,
    kPodToHost,
    kFullSize,  // pod to host or gateway, packets of the pod's MTU
    kGateway,
    kDuplicate,
    kDnsUdp,
    kDnsTcp,
  };
  Kind kind = Kind::kHostToPod;
  // Whom it is about: the other end; of kDuplicate the pod's own address.
  std::string target;
  size_t packet_size = 0;
  ProbeOutcome outcome;
  // How the kernel would send there, from where the check was made; absent:
  // it has no route.
  std::optional<Way> way;
  // Of kGateway: whether the node itself reaches it.
  bool node_reaches = false;
  std::string cause;   // of what failed: likely, in a sentence
  std::string remedy;  // what to do
};

// "host to pod", "DNS over UDP", …
const char* CheckName(NetCheck::Kind kind);

// Everything that is known when the causes are looked for.
struct NetPicture {
  PodOnNetwork pod;
  NetnsView host;
  NetnsView inside;
  // Packets that rp_filter dropped while the checks ran.
  uint64_t host_reverse_path_drops = 0;
  uint64_t pod_reverse_path_drops = 0;
  std::vector<NetCheck> checks;
  std::string question;  // what DNS servers were asked for

  // The pod's device, by its first address; nullptr: it is gone.
  const NetDevice* PodDevice() const;
  // What that stands on, or its other end, on the node.
  const NetDevice* Below() const;
};

// Which checks make sense for the pod. `node_address`: from which the node
// speaks to that address of the pod; none: it has no route.
std::vector<NetCheck> PlanChecks(
    const PodOnNetwork& pod, const NetnsView& inside,
    const std::vector<std::string>& node_addresses);

// Looks at both namespaces, makes all checks at the same time, and looks
// again. Takes `limit` at most, and a little.
absl::StatusOr<NetPicture> CheckNetwork(const PodOnNetwork& pod,
                                        const std::string& question,
                                        std::chrono::milliseconds limit);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_NET_CHECKS_H_
