// The rtnetlink requests and answers that networks are made of: links,
// addresses, neighbours, routes. Requests are appended to a batch; what they
// do happens in the namespace of the socket that sends it.
//
// Stateless; see os/netlink.h for who may use a socket.

#ifndef PINION_NETWORK_RTNL_H_
#define PINION_NETWORK_RTNL_H_

#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <functional>
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

// What a link stands on, or a veth's other end.
struct LowerLink {
  int index = 0;
  int netns = -1;  // its namespace (IFLA_LINK_NETNSID); -1: this one
  bool operator==(const LowerLink&) const = default;
};

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "macvlan", "veth", …; empty for a physical device
  std::string alias;
  MacAddress mac{};
  uint32_t mtu = 0;
  int parent_index = 0;  // of a macvlan or veth; 0: none, or elsewhere
  LowerLink lower;       // the same, wherever it is
  int master_index = 0;  // the bridge that it is a port of
  int ipvlan_mode = -1;  // IPVLAN_MODE_…; -1: no ipvlan
  bool up = false;       // as its administrator wants it
  bool noarp = false;    // asks and answers nobody for addresses
  bool carrier = false;
};

// Who hears whom among the macvlans of one parent (MACVLAN_MODE_…): all; all,
// by way of the switch outside; nobody.
enum class MacvlanMode { kBridge, kVepa, kPrivate };

// Who moves the packets of a parent's ipvlans (IPVLAN_MODE_…): they do
// themselves; the host, by its routes and through its netfilter.
enum class IpvlanMode { kL2, kL3s };

struct IpvlanSpec {
  std::string name;
  int parent_index = 0;
  IpvlanMode mode = IpvlanMode::kL2;
  uint32_t mtu = 0;
  // As in MacvlanSpec.
  int netns_fd = -1;
  int index = 0;
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
  MacvlanMode mode = MacvlanMode::kBridge;
};

// Both ends of a pod's cable to a bridge: one in the pod, one a port.
struct BridgedVethSpec {
  std::string name;
  MacAddress mac{};
  uint32_t mtu = 0;  // of both ends; 0: the kernel's
  int netns_fd = -1;
  int index = 0;          // in the pod; 0: the kernel chooses
  std::string port_name;  // in the socket's own namespace
};

// The end that is plugged into a bridge.
struct BridgePortSpec {
  std::string name;
  int index = 0;
  int bridge_index = 0;
  uint32_t mtu = 0;
  MacAddress pod_mac{};
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
  bool dynamic = false;    // it expires (no IFA_F_PERMANENT)
};

// Fails with EEXIST if the name (or number) is taken; with EADDRINUSE or
// EBUSY, when set up, if another link on the parent has the MAC.
void AppendMacvlan(os::NetlinkBatch& batch, const MacvlanSpec& spec);

// It has the parent's MAC. The mode becomes that of all ipvlans on the parent
// (drivers/net/ipvlan/ipvlan_main.c). Fails with EEXIST as AppendMacvlan; with
// EBUSY also where something else than ipvlans takes the parent's packets, as
// macvlans do; with EOPNOTSUPP where the kernel has none. An address that
// another one on the parent has is refused with EADDRINUSE.
void AppendIpvlan(os::NetlinkBatch& batch, const IpvlanSpec& spec);
// Changes it of all ipvlans on the same parent.
void AppendIpvlanMode(os::NetlinkBatch& batch, int index,
                      const std::string& name, IpvlanMode mode);
// IPVLAN_MODE_…
int KernelMode(IpvlanMode mode);

// Any other kind that needs nothing but a name.
void AppendSimpleLink(os::NetlinkBatch& batch, const std::string& name,
                      const std::string& kind);
void AppendVethPair(os::NetlinkBatch& batch, const std::string& name,
                    const std::string& peer);

// EEXIST: one of the names or the number is taken.
void AppendVethToPod(os::NetlinkBatch& batch, const BridgedVethSpec& spec);
// The port is up, is a way back to where a frame came from (hairpin: with
// br_netfilter a pod reaches itself over a service only so), has no IPv6
// address and the alias `alias`. The bridge knows the pod's MAC behind it,
// whoever else sends under that, and sends no frame there that is for another.
void AppendPlugIn(os::NetlinkBatch& batch, const BridgePortSpec& port,
                  const std::string& alias);

void AppendMac(os::NetlinkBatch& batch, int index, const std::string& name,
               const MacAddress& mac);
void AppendLinkUp(os::NetlinkBatch& batch, int index, const std::string& name);
// Up, and answering no ARP request (IFF_NOARP).
void AppendSilentLinkUp(os::NetlinkBatch& batch, int index,
                        const std::string& name);
// With less a device has no IPv6 at all (RFC 8200, 5).
inline constexpr uint32_t kLeastIpv6Mtu = 1280;
// No IPv6 link-local address, hence no router solicitations or the like. With
// this MTU of the device's: where it has no IPv6, the kernel refuses that.
void AppendNoIpv6LinkLocal(os::NetlinkBatch& batch, int index,
                           const std::string& name, uint32_t mtu);
void AppendMtu(os::NetlinkBatch& batch, int index, const std::string& name,
               uint32_t mtu);
void AppendAlias(os::NetlinkBatch& batch, int index, const std::string& name,
                 const std::string& alias);
// net.ipv4.conf.<name>.<setting>, a file of that directory.
enum class Ipv4Setting {
  kArpAnnounce,
  kArpIgnore,
  kForwarding,
  kRouteLocalnet,
  kRpFilter,
};
void AppendIpv4Setting(os::NetlinkBatch& batch, int index,
                       const std::string& name, Ipv4Setting setting,
                       uint32_t value);
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
// As AppendRoute, but fails with EEXIST where there is another for the prefix,
// of IPv6 with the same metric.
void AppendNewRoute(os::NetlinkBatch& batch, const RouteSpec& route,
                    const std::string& name);
void AppendRouteDeletion(os::NetlinkBatch& batch, const RouteSpec& route,
                         const std::string& name);

// NotFound.
absl::StatusOr<Link> FindLink(os::NetlinkSocket& socket,
                              const std::string& name);
absl::StatusOr<Link> FindLink(os::NetlinkSocket& socket, int index);

// A link from an RTM_NEWLINK or RTM_DELLINK message; nullopt for others.
std::optional<Link> ParseLink(const os::NetlinkMessage& message);

// The link that has left the bridge it was a port of, or goes altogether: from
// an RTM_DELLINK message of the bridge's; nullopt for others.
std::optional<Link> ParseUnplugging(const os::NetlinkMessage& message);

absl::StatusOr<std::vector<Link>> ListLinks(os::NetlinkSocket& socket);
// The ports of a bridge.
absl::StatusOr<std::vector<Link>> ListPorts(os::NetlinkSocket& socket,
                                            int bridge_index);

// An address that came or went: from an RTM_NEWADDR or RTM_DELADDR message;
// nullopt for others.
struct AddressChange {
  int link_index = 0;
  ipam::IpAddress address;
};
std::optional<AddressChange> ParseAddressChange(
    const os::NetlinkMessage& message);

absl::StatusOr<std::vector<LinkAddress>> ListAddresses(
    os::NetlinkSocket& socket, int index);

// Somebody's route. Of several next hops none is shown.
struct ListedRoute {
  RouteSpec spec;
  uint8_t protocol = 0;  // RTPROT_…, kRouteProtocol
  uint32_t table = 0;    // RT_TABLE_…
};
std::optional<ListedRoute> ParseRoute(const os::NetlinkMessage& message);
// All there are, of both families and all tables.
absl::Status ListRoutes(os::NetlinkSocket& socket,
                        const std::function<void(const ListedRoute&)>& each);

}  // namespace pinion::network

#endif  // PINION_NETWORK_RTNL_H_
