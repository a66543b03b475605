// How the host link asks for a pod's MAC.
//
// By itself the kernel asks "who has POD? Tell NODE at the host link's MAC",
// for the route's source is the node's address. That goes out by the NIC, too,
// and every neighbour that knows NODE learns the host link's MAC for it (RFC
// 826): gateway, other nodes, API server. What they send then comes in over
// the host link, where rp_filter drops it, be it 1 or 2, and nobody answers
// there when they ask again (arp_ignore), until they ask everybody.
//
// So the link has an IPv4 address of its own, which nobody looks for, and
// arp_announce=2: requests name that. It is of scope link, so the kernel takes
// it for no other packet's source, and link-local (RFC 3927, of the last 256,
// which nobody gives himself), so no router forwards to it: none that pods or
// neighbours could make use of. Where the node's own address is on the host
// link, none is needed: then that is right.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_HOST_LINK_ARP_H_
#define PINION_NETWORK_HOST_LINK_ARP_H_

#include <vector>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// 169.254.255.1 to .254: nodes of a network have different ones, as a rule. A
// node that has it itself takes another's requests for forged ("martian").
ipam::IpAddress ArpSender(const MacAddress& host_link);

// Appends what makes the link ask so, and answer for no address of other
// devices (arp_ignore=1). What is right already is not touched.
absl::Status AppendArpChanges(os::NetlinkSocket& socket, const Link& link,
                              const std::vector<FamilyPlan>& plans,
                              os::NetlinkBatch& batch);

}  // namespace pinion::network

#endif  // PINION_NETWORK_HOST_LINK_ARP_H_
