// Ports of the node that lead to a pod (hostPort).
//
// Whoever connects to such a port of any of the node's addresses (or of one)
// reaches the pod: from outside, from the node itself also over 127.0.0.1,
// from pods. The pod sees the node's address as the client's: else it would
// answer a neighbour on its own subnet directly, from an address that the
// neighbour never asked. Over [::1] no port is reached: the kernel lets no
// IPv6 loopback source leave the node.
//
// In nf_tables, in a table of our own named after the host link, which is
// written anew as a whole; connections that exist go on.
//
// For 127.0.0.1 the host link has route_localnet=1 while there is a port, and
// the table drops what comes from a pod for 127.0.0.0/8, or under a source of
// it, before anything else sees it: nothing that listens on the node's loopback
// is opened to pods, and no pod passes for the node.
//
// UDP flows that the kernel has led elsewhere before, or that a pod that is
// gone has had, are ended (tracked_flows.h).
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_HOST_PORTS_H_
#define PINION_NETWORK_HOST_PORTS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "network/pod_network.h"
#include "os/netlink.h"

namespace pinion::network {

// One pod's: its addresses (one a family) and the ports that lead there.
struct HostPorts {
  std::vector<ipam::IpAddress> addresses;
  std::vector<HostPort> ports;
};
// By pod.
using HostPortTable = std::map<std::string, HostPorts>;

// AlreadyExists, naming port and pod, if another pod than `pod_id` has one of
// these ports. InvalidArgument for a host address that is none, and for two of
// `ports` that are the same port of the node.
absl::Status CheckHostPorts(const HostPortTable& table,
                            const std::string& pod_id,
                            const std::vector<HostPort>& ports);

// The table's name, from the host link's.
std::string HostPortsTable(const std::string& link);

// FailedPrecondition, naming the port, if it would lead nowhere: pods, or the
// node, have no address of its family.
absl::Status CheckReachable(const std::vector<HostPort>& ports,
                            const std::vector<FamilyPlan>& plans);

// Puts the rules in place, or removes them if there is no port. `link` is the
// host link's name.
absl::Status ReplaceHostPorts(os::NetlinkSocket& netfilter,
                              const std::string& link,
                              const std::vector<FamilyPlan>& plans,
                              const HostPortTable& table);

// The same with the setting of the host link that 127.0.0.1 needs: never
// without the rules that keep pods from the node's loopback.
absl::Status InstallHostPorts(os::NetlinkSocket& host,
                              os::NetlinkSocket& netfilter,
                              const std::string& link,
                              const std::vector<FamilyPlan>& plans,
                              const HostPortTable& table);

// What a new one should be warned of.
void WarnWithoutForwarding();

// After the rules of `pod` came into force, or were taken away.
absl::Status EndFlowsBeforePorts(os::NetlinkSocket& netfilter,
                                 const HostPorts& pod);
absl::Status EndFlowsOfPorts(os::NetlinkSocket& netfilter,
                             const HostPorts& pod);

}  // namespace pinion::network

#endif  // PINION_NETWORK_HOST_PORTS_H_
