// Ends what the kernel's connection tracking remembers of UDP flows that a
// host port leads, or led, elsewhere (nf_conntrack). A translation is decided
// once a flow: without this a client that keeps sending from one port is led
// to where the port led before, for as long as it sends.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_TRACKED_FLOWS_H_
#define PINION_NETWORK_TRACKED_FLOWS_H_

#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "os/netlink.h"

namespace pinion::network {

// Flows that were led to `pod`, an address that nobody else has: before it is
// given away.
absl::Status EndFlowsTo(os::NetlinkSocket& netfilter,
                        const ipam::IpAddress& pod);

// Flows to these ports that are led nowhere, of one family: from before the
// ports were opened.
absl::Status EndUntranslatedFlows(os::NetlinkSocket& netfilter,
                                  ipam::Family family,
                                  const std::set<uint16_t>& ports);

}  // namespace pinion::network

#endif  // PINION_NETWORK_TRACKED_FLOWS_H_
