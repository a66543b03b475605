#include "network/rtnl.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;
constexpr uint16_t kReplace = NLM_F_CREATE | NLM_F_REPLACE;

uint8_t AddressFamily(Family family) {
  return family == Family::kIpv4 ? AF_INET : AF_INET6;
}

void AddAddress(NetlinkBatch& batch, uint16_t type, const IpAddress& address) {
  const std::array<uint8_t, 16> bytes = address.Bytes();
  batch.Add(type, bytes.data(), address.byte_count());
}

std::optional<IpAddress> ReadAddress(std::span<const char> content) {
  return IpAddress::FromBytes(content.data(), content.size());
}

ifinfomsg LinkHeader(int index) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  return header;
}

void BeginLinkChange(NetlinkBatch& batch, int index, std::string what) {
  batch.Begin(RTM_SETLINK, 0, LinkHeader(index), std::move(what));
}

void BeginFlagsChange(NetlinkBatch& batch, int index, const std::string& name,
                      unsigned flags) {
  ifinfomsg header = LinkHeader(index);
  header.ifi_flags = flags;
  header.ifi_change = flags;
  batch.Begin(RTM_SETLINK, 0, header, absl::StrCat("set ", name, " up"));
}

void BeginAddress(NetlinkBatch& batch, uint16_t type, uint16_t flags, int index,
                  const IpAddress& address, int prefix_length,
                  std::string what) {
  ifaddrmsg header{};
  header.ifa_family = AddressFamily(address.family());
  header.ifa_prefixlen = static_cast<uint8_t>(prefix_length);
  header.ifa_index = static_cast<uint32_t>(index);
  if (!address.is_v4()) header.ifa_flags = IFA_F_NODAD;
  batch.Begin(type, flags, header, std::move(what));
  AddAddress(batch, IFA_LOCAL, address);
  AddAddress(batch, IFA_ADDRESS, address);
}

void BeginRoute(NetlinkBatch& batch, uint16_t type, uint16_t flags,
                const RouteSpec& route, std::string what) {
  rtmsg header{};
  header.rtm_family = AddressFamily(route.destination.family());
  header.rtm_dst_len = static_cast<uint8_t>(route.destination.length());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = kRouteProtocol;
  header.rtm_type = RTN_UNICAST;
  header.rtm_scope = route.via || !route.destination.network().is_v4()
                         ? RT_SCOPE_UNIVERSE
                         : RT_SCOPE_LINK;
  if (route.via) header.rtm_flags = RTNH_F_ONLINK;
  batch.Begin(type, flags, header, std::move(what));
  if (route.destination.length() != 0) {
    AddAddress(batch, RTA_DST, route.destination.network());
  }
  batch.AddU32(RTA_OIF, static_cast<uint32_t>(route.link_index));
  if (route.via) AddAddress(batch, RTA_GATEWAY, *route.via);
  if (route.source) AddAddress(batch, RTA_PREFSRC, *route.source);
}

// Attribute numbers are those of the IPV4_DEVCONF_… values.
void AddIpv4Setting(NetlinkBatch& batch, uint16_t setting, uint32_t value) {
  batch.Nest(IFLA_AF_SPEC, [&] {
    batch.Nest(AF_INET, [&] {
      batch.Nest(IFLA_INET_CONF, [&] { batch.AddU32(setting, value); });
    });
  });
}

}  // namespace

std::string MacToString(const MacAddress& mac) {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                         mac[2], mac[3], mac[4], mac[5]);
}

void AppendMacvlan(NetlinkBatch& batch, const MacvlanSpec& spec) {
  batch.Begin(RTM_NEWLINK, kCreate, LinkHeader(spec.index),
              absl::StrCat("create macvlan ", spec.name));
  batch.AddString(IFLA_IFNAME, spec.name);
  batch.AddU32(IFLA_LINK, static_cast<uint32_t>(spec.parent_index));
  batch.Add(IFLA_ADDRESS, spec.mac.data(), spec.mac.size());
  if (spec.mtu != 0) batch.AddU32(IFLA_MTU, spec.mtu);
  if (spec.netns_fd >= 0) {
    batch.AddU32(IFLA_NET_NS_FD, static_cast<uint32_t>(spec.netns_fd));
  }
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_KIND, "macvlan");
    batch.Nest(IFLA_INFO_DATA,
               [&] { batch.AddU32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE); });
  });
}

void AppendSimpleLink(NetlinkBatch& batch, const std::string& name,
                      const std::string& kind) {
  batch.Begin(RTM_NEWLINK, kCreate, LinkHeader(0),
              absl::StrCat("create ", kind, " ", name));
  batch.AddString(IFLA_IFNAME, name);
  batch.Nest(IFLA_LINKINFO, [&] { batch.AddString(IFLA_INFO_KIND, kind); });
}

void AppendVethPair(NetlinkBatch& batch, const std::string& name,
                    const std::string& peer) {
  batch.Begin(RTM_NEWLINK, kCreate, LinkHeader(0),
              absl::StrCat("create veth ", name));
  batch.AddString(IFLA_IFNAME, name);
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_KIND, "veth");
    batch.Nest(IFLA_INFO_DATA, [&] {
      batch.Nest(VETH_INFO_PEER, [&] {
        batch.AddRaw(LinkHeader(0));
        batch.AddString(IFLA_IFNAME, peer);
      });
    });
  });
}

void AppendLinkUp(NetlinkBatch& batch, int index, const std::string& name) {
  BeginFlagsChange(batch, index, name, IFF_UP);
}

void AppendSilentLinkUp(NetlinkBatch& batch, int index,
                        const std::string& name) {
  BeginFlagsChange(batch, index, name, IFF_UP | IFF_NOARP);
}

void AppendNoIpv6LinkLocal(NetlinkBatch& batch, int index,
                           const std::string& name) {
  BeginLinkChange(batch, index, absl::StrCat("set addrgenmode of ", name));
  batch.Nest(IFLA_AF_SPEC, [&] {
    batch.Nest(AF_INET6, [&] {
      batch.AddU8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    });
  });
}

void AppendAlias(NetlinkBatch& batch, int index, const std::string& name,
                 const std::string& alias) {
  BeginLinkChange(batch, index, absl::StrCat("set alias of ", name));
  batch.AddString(IFLA_IFALIAS, alias);
}

void AppendArpIgnore(NetlinkBatch& batch, int index, const std::string& name,
                     uint32_t value) {
  BeginLinkChange(batch, index, absl::StrCat("set arp_ignore of ", name));
  AddIpv4Setting(batch, IPV4_DEVCONF_ARP_IGNORE, value);
}

void AppendRouteLocalnet(NetlinkBatch& batch, int index,
                         const std::string& name, uint32_t value) {
  BeginLinkChange(batch, index, absl::StrCat("set route_localnet of ", name));
  AddIpv4Setting(batch, IPV4_DEVCONF_ROUTE_LOCALNET, value);
}

void AppendLinkDeletion(NetlinkBatch& batch, int index,
                        const std::string& name) {
  batch.Begin(RTM_DELLINK, 0, LinkHeader(index),
              absl::StrCat("delete link ", name));
}

void AppendAddress(NetlinkBatch& batch, int index, const std::string& name,
                   const IpAddress& address, int prefix_length) {
  BeginAddress(batch, RTM_NEWADDR, kReplace, index, address, prefix_length,
               absl::StrCat("add address ", address.ToString(), "/",
                            prefix_length, " to ", name));
  if (address.is_v4() && prefix_length < 31) {
    AddAddress(batch, IFA_BROADCAST,
               ipam::IpPrefix::Around(address, prefix_length).Last());
  }
}

void AppendAddressDeletion(NetlinkBatch& batch, int index,
                           const std::string& name, const IpAddress& address,
                           int prefix_length) {
  BeginAddress(
      batch, RTM_DELADDR, 0, index, address, prefix_length,
      absl::StrCat("delete address ", address.ToString(), " of ", name));
}

void AppendNeighbour(NetlinkBatch& batch, int index, const std::string& name,
                     const IpAddress& address, const MacAddress& mac) {
  ndmsg header{};
  header.ndm_family = AddressFamily(address.family());
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  batch.Begin(RTM_NEWNEIGH, kReplace, header,
              absl::StrCat("add neighbour ", address.ToString(), " to ", name));
  AddAddress(batch, NDA_DST, address);
  batch.Add(NDA_LLADDR, mac.data(), mac.size());
}

void AppendRoute(NetlinkBatch& batch, const RouteSpec& route,
                 const std::string& name) {
  BeginRoute(batch, RTM_NEWROUTE, kReplace, route,
             absl::StrCat("add route to ", route.destination.ToString(),
                          " over ", name));
}

void AppendRouteDeletion(NetlinkBatch& batch, const RouteSpec& route,
                         const std::string& name) {
  BeginRoute(batch, RTM_DELROUTE, 0, route,
             absl::StrCat("delete route to ", route.destination.ToString(),
                          " over ", name));
}

std::optional<Link> ParseLink(const NetlinkMessage& message) {
  if (message.type() != RTM_NEWLINK && message.type() != RTM_DELLINK) {
    return std::nullopt;
  }
  const auto* header = message.header<ifinfomsg>();
  if (header == nullptr) return std::nullopt;
  const std::span<const char> attributes = message.Attributes(sizeof(*header));
  Link link;
  link.index = header->ifi_index;
  link.up = (header->ifi_flags & IFF_UP) != 0;
  // Not IFF_RUNNING: that follows later, from a work queue.
  link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  link.name =
      NetlinkMessage::String(NetlinkMessage::Find(attributes, IFLA_IFNAME));
  link.alias =
      NetlinkMessage::String(NetlinkMessage::Find(attributes, IFLA_IFALIAS));
  link.mtu = NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_MTU));
  // With IFLA_LINK_NETNSID the number is of another namespace.
  if (NetlinkMessage::Find(attributes, IFLA_LINK_NETNSID).empty()) {
    link.parent_index = static_cast<int>(
        NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_LINK)));
  }
  const std::span<const char> mac =
      NetlinkMessage::Find(attributes, IFLA_ADDRESS);
  if (mac.size() == link.mac.size()) {
    std::copy(mac.begin(), mac.end(), link.mac.begin());
  }
  link.kind = NetlinkMessage::String(NetlinkMessage::Find(
      NetlinkMessage::Find(attributes, IFLA_LINKINFO), IFLA_INFO_KIND));
  return link;
}

absl::StatusOr<Link> FindLink(NetlinkSocket& socket, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no name of a network device"));
  }
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, LinkHeader(0), absl::StrCat("find link ", name));
  batch.AddString(IFLA_IFNAME, name);
  std::optional<Link> link;
  const absl::Status status = socket.Query(
      batch,
      [&link](const NetlinkMessage& message) { link = ParseLink(message); });
  if (os::NetlinkErrno(status) == ENODEV || (status.ok() && !link)) {
    return absl::NotFoundError(absl::StrCat("no network device ", name));
  }
  PINION_RETURN_IF_ERROR(status);
  return *std::move(link);
}

namespace {

// Everything of a kind: `each` gets the header and the attributes of what is
// answered as `reply`.
template <typename Header>
absl::Status Dump(
    NetlinkSocket& socket, uint16_t request, uint16_t reply,
    const std::string& what,
    const std::function<void(const Header&, std::span<const char>)>& each) {
  NetlinkBatch batch;
  batch.Begin(request, NLM_F_DUMP, Header{}, what);
  return socket.Query(batch, [&](const NetlinkMessage& message) {
    const auto* header = message.header<Header>();
    if (message.type() != reply || header == nullptr) return;
    each(*header, message.Attributes(sizeof(*header)));
  });
}

}  // namespace

absl::StatusOr<std::vector<LinkAddress>> ListAddresses(NetlinkSocket& socket,
                                                       int index) {
  std::vector<LinkAddress> addresses;
  PINION_RETURN_IF_ERROR(Dump<ifaddrmsg>(
      socket, RTM_GETADDR, RTM_NEWADDR, "list addresses",
      [&](const ifaddrmsg& header, std::span<const char> attributes) {
        if (header.ifa_index != static_cast<uint32_t>(index)) return;
        std::span<const char> bytes =
            NetlinkMessage::Find(attributes, IFA_LOCAL);
        // IPv6 has IFA_LOCAL on point-to-point links only.
        if (bytes.empty()) {
          bytes = NetlinkMessage::Find(attributes, IFA_ADDRESS);
        }
        const std::optional<IpAddress> address = ReadAddress(bytes);
        if (!address) return;
        addresses.push_back(
            {.address = *address,
             .prefix_length = header.ifa_prefixlen,
             .global = header.ifa_scope == RT_SCOPE_UNIVERSE,
             .secondary = (header.ifa_flags & IFA_F_SECONDARY) != 0});
      }));
  return addresses;
}

absl::StatusOr<std::vector<RouteSpec>> ListOwnRoutes(NetlinkSocket& socket,
                                                     int index) {
  std::vector<RouteSpec> routes;
  PINION_RETURN_IF_ERROR(Dump<rtmsg>(
      socket, RTM_GETROUTE, RTM_NEWROUTE, "list routes",
      [&](const rtmsg& header, std::span<const char> attributes) {
        if (header.rtm_protocol != kRouteProtocol ||
            (header.rtm_family != AF_INET && header.rtm_family != AF_INET6)) {
          return;
        }
        RouteSpec route;
        route.link_index = static_cast<int>(
            NetlinkMessage::U32(NetlinkMessage::Find(attributes, RTA_OIF)));
        if (route.link_index != index) return;
        constexpr char kZero[16] = {};
        const std::optional<IpAddress> destination =
            header.rtm_dst_len == 0
                ? IpAddress::FromBytes(kZero,
                                       header.rtm_family == AF_INET ? 4 : 16)
                : ReadAddress(NetlinkMessage::Find(attributes, RTA_DST));
        if (!destination) return;
        route.destination =
            ipam::IpPrefix::Around(*destination, header.rtm_dst_len);
        route.via = ReadAddress(NetlinkMessage::Find(attributes, RTA_GATEWAY));
        route.source =
            ReadAddress(NetlinkMessage::Find(attributes, RTA_PREFSRC));
        routes.push_back(route);
      }));
  return routes;
}

}  // namespace pinion::network
