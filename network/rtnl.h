// The rtnetlink requests and answers that networks are made of: links,
// addresses, neighbours, routes. Requests are appended to a batch; what they
// do happens in the namespace of the socket that sends it.
//
// Stateless; see os/netlink.h for who may use a socket.

#ifndef PINION_NETWORK_RTNL_H_
#define PINION_NETWORK_RTNL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "os/netlink.h"

namespace pinion::network {

using MacAddress = std::array<uint8_t, 6>;

// "6e:70:0a:01:02:03"
std::string MacToString(const MacAddress& mac);

// Marks routes as pinion's (rtm_protocol; iproute2 shows "proto 112"; not in
// use by anybody else in rt_protos).
inline constexpr uint8_t kRouteProtocol = 112;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "macvlan", "veth", …; empty for a physical device
  std::string alias;
  MacAddress mac{};
  uint32_t mtu = 0;
  int parent_index = 0;  // of a macvlan or veth; 0: none, or elsewhere
  bool up = false;       // as its administrator wants it
  bool carrier = false;
};

struct MacvlanSpec {
  std::string name;
  int parent_index = 0;
  MacAddress mac{};
  uint32_t mtu = 0;
  // Where to make it: another namespace, or -1 for the socket's own.
  int netns_fd = -1;
  // The new link's number; 0: the kernel chooses.
  int index = 0;
};

struct RouteSpec {
  ipam::IpPrefix destination;
  int link_index = 0;
  std::optional<ipam::IpAddress> via = std::nullopt;
  std::optional<ipam::IpAddress> source = std::nullopt;
};

struct LinkAddress {
  ipam::IpAddress address;
  int prefix_length = 0;
  bool global = false;     // scope
  bool secondary = false;  // IFA_F_SECONDARY, of IPv6 also temporary ones
};

// A macvlan in bridge mode. Fails with EEXIST if the name (or number) is
// taken; with EADDRINUSE or EBUSY, when set up, if another link on the parent
// has the MAC.
void AppendMacvlan(os::NetlinkBatch& batch, const MacvlanSpec& spec);

// Any other kind that needs nothing but a name.
void AppendSimpleLink(os::NetlinkBatch& batch, const std::string& name,
                      const std::string& kind);
void AppendVethPair(os::NetlinkBatch& batch, const std::string& name,
                    const std::string& peer);

void AppendLinkUp(os::NetlinkBatch& batch, int index, const std::string& name);
// Up, and answering no ARP request (IFF_NOARP).
void AppendSilentLinkUp(os::NetlinkBatch& batch, int index,
                        const std::string& name);
// No IPv6 link-local address, hence no router solicitations or the like.
void AppendNoIpv6LinkLocal(os::NetlinkBatch& batch, int index,
                           const std::string& name);
void AppendAlias(os::NetlinkBatch& batch, int index, const std::string& name,
                 const std::string& alias);
// net.ipv4.conf.<name>.arp_ignore
void AppendArpIgnore(os::NetlinkBatch& batch, int index,
                     const std::string& name, uint32_t value);
// net.ipv4.conf.<name>.route_localnet
void AppendRouteLocalnet(os::NetlinkBatch& batch, int index,
                         const std::string& name, uint32_t value);
void AppendLinkDeletion(os::NetlinkBatch& batch, int index,
                        const std::string& name);

// Creates or replaces. IPv6 addresses skip duplicate address detection:
// pinion owns the range.
void AppendAddress(os::NetlinkBatch& batch, int index, const std::string& name,
                   const ipam::IpAddress& address, int prefix_length);
void AppendAddressDeletion(os::NetlinkBatch& batch, int index,
                           const std::string& name,
                           const ipam::IpAddress& address, int prefix_length);

// A permanent entry; creates or replaces.
void AppendNeighbour(os::NetlinkBatch& batch, int index,
                     const std::string& name, const ipam::IpAddress& address,
                     const MacAddress& mac);

// Creates or replaces, in the main table. A gateway need not be within a
// subnet of the link (RTNH_F_ONLINK).
void AppendRoute(os::NetlinkBatch& batch, const RouteSpec& route,
                 const std::string& name);
void AppendRouteDeletion(os::NetlinkBatch& batch, const RouteSpec& route,
                         const std::string& name);

// NotFound.
absl::StatusOr<Link> FindLink(os::NetlinkSocket& socket,
                              const std::string& name);

// A link from an RTM_NEWLINK or RTM_DELLINK message; nullopt for others.
std::optional<Link> ParseLink(const os::NetlinkMessage& message);

absl::StatusOr<std::vector<LinkAddress>> ListAddresses(
    os::NetlinkSocket& socket, int index);

// pinion's own routes (kRouteProtocol) over this link.
absl::StatusOr<std::vector<RouteSpec>> ListOwnRoutes(os::NetlinkSocket& socket,
                                                     int index);

}  // namespace pinion::network

#endif  // PINION_NETWORK_RTNL_H_
