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
#include <cstdlib>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "os/network_namespace.h"

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

void AddNoIpv6LinkLocal(NetlinkBatch& batch) {
  if (!os::KernelHasIpv6()) return;
  batch.Nest(IFLA_AF_SPEC, [&] {
    batch.Nest(AF_INET6, [&] {
      batch.AddU8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    });
  });
}

uint32_t KernelMode(MacvlanMode mode) {
  switch (mode) {
    case MacvlanMode::kVepa:
      return MACVLAN_MODE_VEPA;
    case MacvlanMode::kPrivate:
      return MACVLAN_MODE_PRIVATE;
    case MacvlanMode::kBridge:
      break;
  }
  return MACVLAN_MODE_BRIDGE;
}

void AddIpvlanMode(NetlinkBatch& batch, IpvlanMode mode) {
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_KIND, "ipvlan");
    batch.Nest(IFLA_INFO_DATA, [&] {
      const auto value = static_cast<uint16_t>(KernelMode(mode));
      batch.Add(IFLA_IPVLAN_MODE, &value, sizeof(value));
    });
  });
}

int ReadIpvlanMode(std::span<const char> info) {
  const auto content = NetlinkMessage::Find(
      NetlinkMessage::Find(info, IFLA_INFO_DATA), IFLA_IPVLAN_MODE);
  uint16_t mode = 0;
  if (content.size() != sizeof(mode)) return -1;
  memcpy(&mode, content.data(), sizeof(mode));
  return mode;
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
               [&] { batch.AddU32(IFLA_MACVLAN_MODE, KernelMode(spec.mode)); });
  });
}

int KernelMode(IpvlanMode mode) {
  return mode == IpvlanMode::kL3s ? IPVLAN_MODE_L3S : IPVLAN_MODE_L2;
}

void AppendIpvlan(NetlinkBatch& batch, const IpvlanSpec& spec) {
  batch.Begin(RTM_NEWLINK, kCreate, LinkHeader(spec.index),
              absl::StrCat("create ipvlan ", spec.name));
  batch.AddString(IFLA_IFNAME, spec.name);
  batch.AddU32(IFLA_LINK, static_cast<uint32_t>(spec.parent_index));
  if (spec.mtu != 0) batch.AddU32(IFLA_MTU, spec.mtu);
  if (spec.netns_fd >= 0) {
    batch.AddU32(IFLA_NET_NS_FD, static_cast<uint32_t>(spec.netns_fd));
  }
  AddIpvlanMode(batch, spec.mode);
}

void AppendIpvlanMode(NetlinkBatch& batch, int index, const std::string& name,
                      IpvlanMode mode) {
  batch.Begin(RTM_NEWLINK, 0, LinkHeader(index),
              absl::StrCat("set ipvlan mode of ", name));
  AddIpvlanMode(batch, mode);
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

void AppendVethToPod(NetlinkBatch& batch, const BridgedVethSpec& spec) {
  // The pod's end first: a peer's number is the kernel's choice unless the
  // first one's is given, too (drivers/net/veth.c).
  batch.Begin(
      RTM_NEWLINK, kCreate, LinkHeader(spec.index),
      absl::StrCat("create veth ", spec.name, " with port ", spec.port_name));
  batch.AddString(IFLA_IFNAME, spec.name);
  batch.Add(IFLA_ADDRESS, spec.mac.data(), spec.mac.size());
  if (spec.mtu != 0) batch.AddU32(IFLA_MTU, spec.mtu);
  batch.AddU32(IFLA_NET_NS_FD, static_cast<uint32_t>(spec.netns_fd));
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_KIND, "veth");
    batch.Nest(IFLA_INFO_DATA, [&] {
      batch.Nest(VETH_INFO_PEER, [&] {
        batch.AddRaw(LinkHeader(0));
        batch.AddString(IFLA_IFNAME, spec.port_name);
        if (spec.mtu != 0) batch.AddU32(IFLA_MTU, spec.mtu);
      });
    });
  });
}

void AppendPlugIn(NetlinkBatch& batch, const BridgePortSpec& port,
                  const std::string& alias) {
  ifinfomsg up = LinkHeader(port.index);
  up.ifi_flags = IFF_UP;
  up.ifi_change = IFF_UP;
  batch.Begin(RTM_SETLINK, 0, up, absl::StrCat("plug in ", port.name));
  batch.AddU32(IFLA_MASTER, static_cast<uint32_t>(port.bridge_index));
  batch.AddString(IFLA_IFALIAS, alias);
  if (port.mtu >= kLeastIpv6Mtu) AddNoIpv6LinkLocal(batch);
  // Of what is a port already only.
  batch.Begin(RTM_NEWLINK, 0, LinkHeader(port.index),
              absl::StrCat("set bridge options of ", port.name));
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_SLAVE_KIND, "bridge");
    batch.Nest(IFLA_INFO_SLAVE_DATA, [&] {
      batch.AddU8(IFLA_BRPORT_MODE, 1);
      batch.AddU8(IFLA_BRPORT_LEARNING, 0);
      batch.AddU8(IFLA_BRPORT_UNICAST_FLOOD, 0);
      // What is for switches (IEEE 802.1D: 01:80:c2:00:00:0X) goes the way of
      // all frames. Otherwise br_handle_frame gives it to the node's own stack
      // past every filter of the bridge. Pause frames it drops itself.
      constexpr uint16_t kAllButPause = 0xfffd;
      batch.Add(IFLA_BRPORT_GROUP_FWD_MASK, &kAllButPause,
                sizeof(kAllButPause));
    });
  });
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = port.index;
  header.ndm_flags = NTF_MASTER;
  header.ndm_state = NUD_NOARP;  // static; NUD_PERMANENT is the bridge's own
  batch.Begin(RTM_NEWNEIGH, kReplace, header,
              absl::StrCat("add the MAC behind ", port.name));
  batch.Add(NDA_LLADDR, port.pod_mac.data(), port.pod_mac.size());
}

void AppendMac(NetlinkBatch& batch, int index, const std::string& name,
               const MacAddress& mac) {
  BeginLinkChange(batch, index, absl::StrCat("set address of ", name));
  batch.Add(IFLA_ADDRESS, mac.data(), mac.size());
}

void AppendLinkUp(NetlinkBatch& batch, int index, const std::string& name) {
  BeginFlagsChange(batch, index, name, IFF_UP);
}

void AppendSilentLinkUp(NetlinkBatch& batch, int index,
                        const std::string& name) {
  BeginFlagsChange(batch, index, name, IFF_UP | IFF_NOARP);
}

void AppendNoIpv6LinkLocal(NetlinkBatch& batch, int index,
                           const std::string& name, uint32_t mtu) {
  if (mtu < kLeastIpv6Mtu) return;
  BeginLinkChange(batch, index, absl::StrCat("set addrgenmode of ", name));
  AddNoIpv6LinkLocal(batch);
}

void AppendMtu(NetlinkBatch& batch, int index, const std::string& name,
               uint32_t mtu) {
  BeginLinkChange(batch, index,
                  absl::StrCat("set the MTU of ", name, " to ", mtu));
  batch.AddU32(IFLA_MTU, mtu);
}

void AppendAlias(NetlinkBatch& batch, int index, const std::string& name,
                 const std::string& alias) {
  BeginLinkChange(batch, index, absl::StrCat("set alias of ", name));
  batch.AddString(IFLA_IFALIAS, alias);
}

void AppendIpv4Setting(NetlinkBatch& batch, int index, const std::string& name,
                       Ipv4Setting setting, uint32_t value) {
  struct Names {
    const char* file;
    uint16_t devconf;
  };
  const auto names = [setting]() -> Names {
    switch (setting) {
      case Ipv4Setting::kArpAnnounce:
        return {"arp_announce", IPV4_DEVCONF_ARP_ANNOUNCE};
      case Ipv4Setting::kArpIgnore:
        return {"arp_ignore", IPV4_DEVCONF_ARP_IGNORE};
      case Ipv4Setting::kForwarding:
        return {"forwarding", IPV4_DEVCONF_FORWARDING};
      case Ipv4Setting::kRouteLocalnet:
        return {"route_localnet", IPV4_DEVCONF_ROUTE_LOCALNET};
      case Ipv4Setting::kRpFilter:
        return {"rp_filter", IPV4_DEVCONF_RP_FILTER};
    }
    std::abort();
  }();
  BeginLinkChange(batch, index, absl::StrCat("set ", names.file, " of ", name));
  AddIpv4Setting(batch, names.devconf, value);
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

void AppendNewRoute(NetlinkBatch& batch, const RouteSpec& route,
                    const std::string& name) {
  BeginRoute(batch, RTM_NEWROUTE, kCreate, route,
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
  link.noarp = (header->ifi_flags & IFF_NOARP) != 0;
  // Not IFF_RUNNING: that follows later, from a work queue.
  link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  link.name =
      NetlinkMessage::String(NetlinkMessage::Find(attributes, IFLA_IFNAME));
  link.alias =
      NetlinkMessage::String(NetlinkMessage::Find(attributes, IFLA_IFALIAS));
  link.mtu = NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_MTU));
  link.lower.index = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_LINK)));
  const auto netns = NetlinkMessage::Find(attributes, IFLA_LINK_NETNSID);
  // With it the number is of another namespace.
  if (!netns.empty()) {
    link.lower.netns = static_cast<int>(NetlinkMessage::U32(netns));
  } else {
    link.parent_index = link.lower.index;
  }
  link.master_index = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_MASTER)));
  const std::span<const char> mac =
      NetlinkMessage::Find(attributes, IFLA_ADDRESS);
  if (mac.size() == link.mac.size()) {
    std::copy(mac.begin(), mac.end(), link.mac.begin());
  }
  const std::span<const char> info =
      NetlinkMessage::Find(attributes, IFLA_LINKINFO);
  link.kind =
      NetlinkMessage::String(NetlinkMessage::Find(info, IFLA_INFO_KIND));
  if (link.kind == "ipvlan") link.ipvlan_mode = ReadIpvlanMode(info);
  return link;
}

std::optional<Link> ParseUnplugging(const NetlinkMessage& message) {
  const auto* header = message.header<ifinfomsg>();
  if (message.type() != RTM_DELLINK || header == nullptr ||
      header->ifi_family != AF_BRIDGE) {
    return std::nullopt;
  }
  return ParseLink(message);
}

namespace {

absl::StatusOr<Link> FindOneLink(NetlinkSocket& socket, NetlinkBatch& batch,
                                 const std::string& name) {
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

}  // namespace

absl::StatusOr<Link> FindLink(NetlinkSocket& socket, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no name of a network device"));
  }
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, LinkHeader(0), absl::StrCat("find link ", name));
  batch.AddString(IFLA_IFNAME, name);
  return FindOneLink(socket, batch, name);
}

absl::StatusOr<Link> FindLink(NetlinkSocket& socket, int index) {
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, LinkHeader(index),
              absl::StrCat("find link ", index));
  return FindOneLink(socket, batch, absl::StrCat(index));
}

namespace {

// Everything of a kind: `each` gets the header and the attributes of what is
// answered as `reply`.
template <typename Header>
absl::Status Dump(
    NetlinkSocket& socket, uint16_t request, uint16_t reply,
    const std::string& what,
    const std::function<void(const Header&, std::span<const char>)>& each,
    const Header& header = {}) {
  NetlinkBatch batch;
  batch.Begin(request, NLM_F_DUMP, header, what);
  return socket.Query(batch, [&](const NetlinkMessage& message) {
    const auto* got = message.header<Header>();
    if (message.type() != reply || got == nullptr) return;
    each(*got, message.Attributes(sizeof(*got)));
  });
}

std::optional<IpAddress> AddressOf(std::span<const char> attributes) {
  std::span<const char> bytes = NetlinkMessage::Find(attributes, IFA_LOCAL);
  // IPv6 has IFA_LOCAL on point-to-point links only.
  if (bytes.empty()) bytes = NetlinkMessage::Find(attributes, IFA_ADDRESS);
  return ReadAddress(bytes);
}

}  // namespace

absl::StatusOr<std::vector<Link>> ListLinks(NetlinkSocket& socket) {
  std::vector<Link> links;
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, NLM_F_DUMP, LinkHeader(0), "list links");
  PINION_RETURN_IF_ERROR(
      socket.Query(batch, [&links](const NetlinkMessage& message) {
        std::optional<Link> link = ParseLink(message);
        if (link) links.push_back(*std::move(link));
      }));
  return links;
}

absl::StatusOr<std::vector<Link>> ListPorts(NetlinkSocket& socket,
                                            int bridge_index) {
  PINION_ASSIGN_OR_RETURN(std::vector<Link> links, ListLinks(socket));
  std::erase_if(links, [bridge_index](const Link& link) {
    return link.master_index != bridge_index;
  });
  return links;
}

std::optional<AddressChange> ParseAddressChange(const NetlinkMessage& message) {
  if (message.type() != RTM_NEWADDR && message.type() != RTM_DELADDR) {
    return std::nullopt;
  }
  const auto* header = message.header<ifaddrmsg>();
  if (header == nullptr) return std::nullopt;
  const auto address = AddressOf(message.Attributes(sizeof(*header)));
  if (!address) return std::nullopt;
  return AddressChange{static_cast<int>(header->ifa_index), *address};
}

absl::StatusOr<std::vector<LinkAddress>> ListAddresses(NetlinkSocket& socket,
                                                       int index) {
  std::vector<LinkAddress> addresses;
  PINION_RETURN_IF_ERROR(Dump<ifaddrmsg>(
      socket, RTM_GETADDR, RTM_NEWADDR, "list addresses",
      [&](const ifaddrmsg& header, std::span<const char> attributes) {
        if (header.ifa_index != static_cast<uint32_t>(index)) return;
        const std::optional<IpAddress> address = AddressOf(attributes);
        if (!address) return;
        addresses.push_back(
            {.address = *address,
             .prefix_length = header.ifa_prefixlen,
             .global = header.ifa_scope == RT_SCOPE_UNIVERSE,
             .secondary = (header.ifa_flags & IFA_F_SECONDARY) != 0,
             .dynamic = (header.ifa_flags & IFA_F_PERMANENT) == 0});
      }));
  return addresses;
}

std::optional<ListedRoute> ParseRoute(const NetlinkMessage& message) {
  const auto* header = message.header<rtmsg>();
  if ((message.type() != RTM_NEWROUTE && message.type() != RTM_DELROUTE) ||
      header == nullptr ||
      (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)) {
    return std::nullopt;
  }
  const std::span<const char> attributes = message.Attributes(sizeof(*header));
  ListedRoute route;
  route.protocol = header->rtm_protocol;
  const std::span<const char> table =
      NetlinkMessage::Find(attributes, RTA_TABLE);
  route.table = table.empty() ? header->rtm_table : NetlinkMessage::U32(table);
  route.spec.link_index = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, RTA_OIF)));
  constexpr char kZero[16] = {};
  const std::optional<IpAddress> destination =
      header->rtm_dst_len == 0
          ? IpAddress::FromBytes(kZero, header->rtm_family == AF_INET ? 4 : 16)
          : ReadAddress(NetlinkMessage::Find(attributes, RTA_DST));
  if (!destination) return std::nullopt;
  route.spec.destination =
      ipam::IpPrefix::Around(*destination, header->rtm_dst_len);
  route.spec.via = ReadAddress(NetlinkMessage::Find(attributes, RTA_GATEWAY));
  route.spec.source =
      ReadAddress(NetlinkMessage::Find(attributes, RTA_PREFSRC));
  return route;
}

absl::Status ListRoutes(NetlinkSocket& socket,
                        const std::function<void(const ListedRoute&)>& each) {
  NetlinkBatch batch;
  batch.Begin(RTM_GETROUTE, NLM_F_DUMP, rtmsg{}, "list routes");
  return socket.Query(batch, [&each](const NetlinkMessage& message) {
    if (const auto route = ParseRoute(message)) each(*route);
  });
}

}  // namespace pinion::network
