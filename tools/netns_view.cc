#include "tools/netns_view.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "ipam/ip_address.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::tools {
namespace {

using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;
using Attributes = std::span<const char>;

std::string AddressText(Attributes bytes) {
  const auto address = IpAddress::FromBytes(bytes.data(), bytes.size());
  return address ? address->ToString() : "";
}

std::string MacText(Attributes bytes) {
  std::string text;
  for (const char byte : bytes) {
    absl::StrAppend(&text, text.empty() ? "" : ":",
                    absl::Hex(static_cast<uint8_t>(byte), absl::kZeroPad2));
  }
  return text;
}

// A number in network order, as nf_tables has them.
uint32_t BigEndian(Attributes bytes, uint32_t missing) {
  uint32_t value = 0;
  if (bytes.size() != sizeof(value)) return missing;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return ntohl(value);
}

template <typename Header>
absl::Status Dump(NetlinkSocket& socket, uint16_t type, const Header& header,
                  const char* what,
                  const std::function<void(const Header&, Attributes)>& each) {
  NetlinkBatch batch;
  batch.Begin(type, NLM_F_DUMP, header, what);
  return socket.Query(batch, [&each](const NetlinkMessage& message) {
    const auto* found = message.header<Header>();
    if (found != nullptr) each(*found, message.Attributes(sizeof(Header)));
  });
}

// A name as an attribute has it.
std::string NameIn(Attributes attributes, uint16_t type) {
  return PlainName(
      NetlinkMessage::String(NetlinkMessage::Find(attributes, type)));
}

NetDevice ToDevice(const ifinfomsg& header, Attributes attributes) {
  NetDevice device;
  device.index = header.ifi_index;
  device.name = NameIn(attributes, IFLA_IFNAME);
  const Attributes info = NetlinkMessage::Find(attributes, IFLA_LINKINFO);
  device.kind =
      NetlinkMessage::String(NetlinkMessage::Find(info, IFLA_INFO_KIND));
  device.link_index = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_LINK)));
  device.link_elsewhere =
      !NetlinkMessage::Find(attributes, IFLA_LINK_NETNSID).empty();
  device.bridge_index = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_MASTER)));
  device.mtu = NetlinkMessage::U32(NetlinkMessage::Find(attributes, IFLA_MTU));
  device.up = (header.ifi_flags & IFF_UP) != 0;
  device.carrier = (header.ifi_flags & IFF_RUNNING) != 0;
  device.arp = (header.ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) == 0;
  device.mac = MacText(NetlinkMessage::Find(attributes, IFLA_ADDRESS));
  const Attributes bytes = NetlinkMessage::Find(attributes, IFLA_STATS64);
  rtnl_link_stats64 stats = {};
  std::memcpy(&stats, bytes.data(), std::min(bytes.size(), sizeof(stats)));
  device.rx_bytes = stats.rx_bytes;
  device.rx_packets = stats.rx_packets;
  device.rx_errors = stats.rx_errors;
  device.rx_dropped = stats.rx_dropped;
  device.tx_bytes = stats.tx_bytes;
  device.tx_packets = stats.tx_packets;
  device.tx_errors = stats.tx_errors;
  device.tx_dropped = stats.tx_dropped;
  return device;
}

absl::Status ReadDevices(NetlinkSocket& socket, NetnsView* view) {
  PINION_RETURN_IF_ERROR(
      Dump<ifinfomsg>(socket, RTM_GETLINK, ifinfomsg{}, "list devices",
                      [view](const ifinfomsg& header, Attributes attributes) {
                        view->devices.push_back(ToDevice(header, attributes));
                      }));
  return Dump<ifaddrmsg>(
      socket, RTM_GETADDR, ifaddrmsg{}, "list addresses",
      [view](const ifaddrmsg& header, Attributes attributes) {
        // IFA_LOCAL is the own one where there is a peer.
        Attributes bytes = NetlinkMessage::Find(attributes, IFA_LOCAL);
        if (bytes.empty()) {
          bytes = NetlinkMessage::Find(attributes, IFA_ADDRESS);
        }
        const uint32_t flags = NetlinkMessage::U32(
            NetlinkMessage::Find(attributes, IFA_FLAGS), header.ifa_flags);
        for (NetDevice& device : view->devices) {
          if (device.index != static_cast<int>(header.ifa_index)) continue;
          device.addresses.push_back({AddressText(bytes), header.ifa_prefixlen,
                                      (flags & IFA_F_DADFAILED) != 0,
                                      (flags & IFA_F_TENTATIVE) != 0});
        }
      });
}

std::string DeviceName(const NetnsView& view, uint32_t index) {
  const NetDevice* device = view.FindIndex(static_cast<int>(index));
  return device == nullptr ? "" : device->name;
}

std::string RouteType(uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
      return "";
    case RTN_UNREACHABLE:
      return "unreachable";
    case RTN_BLACKHOLE:
      return "blackhole";
    case RTN_PROHIBIT:
      return "prohibit";
    default:
      return absl::StrCat("type ", type);
  }
}

absl::Status ReadRoutes(NetlinkSocket& socket, NetnsView* view) {
  return Dump<rtmsg>(
      socket, RTM_GETROUTE, rtmsg{}, "list routes",
      [view](const rtmsg& header, Attributes attributes) {
        const uint32_t table = NetlinkMessage::U32(
            NetlinkMessage::Find(attributes, RTA_TABLE), header.rtm_table);
        if (table != RT_TABLE_MAIN || (header.rtm_flags & RTM_F_CLONED) != 0 ||
            (header.rtm_family != AF_INET && header.rtm_family != AF_INET6)) {
          return;
        }
        NetRoute route;
        const std::string to =
            AddressText(NetlinkMessage::Find(attributes, RTA_DST));
        if (header.rtm_dst_len == 0) {
          route.destination = "default";
        } else {
          route.destination = absl::StrCat(to, "/", header.rtm_dst_len);
        }
        route.via = AddressText(NetlinkMessage::Find(attributes, RTA_GATEWAY));
        route.device = DeviceName(
            *view,
            NetlinkMessage::U32(NetlinkMessage::Find(attributes, RTA_OIF)));
        route.source =
            AddressText(NetlinkMessage::Find(attributes, RTA_PREFSRC));
        route.type = RouteType(header.rtm_type);
        view->routes.push_back(std::move(route));
      });
}

std::string NeighbourState(uint16_t state) {
  static constexpr std::pair<uint16_t, const char*> kNames[] = {
      {NUD_PERMANENT, "PERMANENT"},   {NUD_NOARP, "NOARP"},
      {NUD_REACHABLE, "REACHABLE"},   {NUD_STALE, "STALE"},
      {NUD_DELAY, "DELAY"},           {NUD_PROBE, "PROBE"},
      {NUD_INCOMPLETE, "INCOMPLETE"}, {NUD_FAILED, "FAILED"}};
  for (const auto& [bit, name] : kNames) {
    if ((state & bit) != 0) return name;
  }
  return "NONE";
}

absl::Status ReadNeighbours(NetlinkSocket& socket, NetnsView* view) {
  return Dump<ndmsg>(
      socket, RTM_GETNEIGH, ndmsg{}, "list neighbours",
      [view](const ndmsg& header, Attributes attributes) {
        // Without multicast groups and the like, which need no answer.
        if ((header.ndm_state & NUD_NOARP) != 0) return;
        const std::string address =
            AddressText(NetlinkMessage::Find(attributes, NDA_DST));
        if (address.empty()) return;
        view->neighbours.push_back(
            {address,
             DeviceName(*view, static_cast<uint32_t>(header.ndm_ifindex)),
             MacText(NetlinkMessage::Find(attributes, NDA_LLADDR)),
             NeighbourState(header.ndm_state)});
      });
}

const char* HookName(uint32_t hook) {
  switch (hook) {
    case NF_INET_PRE_ROUTING:
      return "prerouting";
    case NF_INET_LOCAL_IN:
      return "input";
    case NF_INET_FORWARD:
      return "forward";
    case NF_INET_LOCAL_OUT:
      return "output";
    case NF_INET_POST_ROUTING:
      return "postrouting";
    default:
      return "other";
  }
}

void AddChain(const nfgenmsg& header, Attributes attributes, NetnsView* view) {
  const Attributes hook = NetlinkMessage::Find(attributes, NFTA_CHAIN_HOOK);
  // Only what others jump to.
  if (hook.empty()) return;
  FilterChain chain;
  chain.ipv4 = header.nfgen_family == NFPROTO_IPV4 ||
               header.nfgen_family == NFPROTO_INET;
  chain.ipv6 = header.nfgen_family == NFPROTO_IPV6 ||
               header.nfgen_family == NFPROTO_INET;
  if (!chain.ipv4 && !chain.ipv6) return;
  const char* family = chain.ipv4 && chain.ipv6 ? "inet"
                       : chain.ipv4             ? "ip"
                                                : "ip6";
  chain.name = absl::StrCat(family, " ", NameIn(attributes, NFTA_CHAIN_TABLE),
                            " ", NameIn(attributes, NFTA_CHAIN_NAME));
  chain.hook = HookName(BigEndian(NetlinkMessage::Find(hook, NFTA_HOOK_HOOKNUM),
                                  NF_INET_NUMHOOKS));
  chain.drops = BigEndian(NetlinkMessage::Find(attributes, NFTA_CHAIN_POLICY),
                          NF_ACCEPT) == NF_DROP;
  view->chains.push_back(std::move(chain));
}

// A kernel without nf_tables has no chains.
void ReadChains(NetnsView* view) {
  auto socket = NetlinkSocket::OpenNetfilter();
  if (!socket.ok()) return;
  (void)Dump<nfgenmsg>(
      *socket, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN,
      nfgenmsg{
          .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0, .res_id = 0},
      "list chains", [view](const nfgenmsg& header, Attributes attributes) {
        AddChain(header, attributes, view);
      });
}

std::string ReadProc(const std::string& path) {
  return os::ReadFileAt(AT_FDCWD, path, 1 << 16).value_or("");
}

// The setting of all, or of the two devices at least that a way needs.
bool ForwardsIpv4(const std::vector<NetDevice>& devices) {
  if (ReadProc("/proc/sys/net/ipv4/ip_forward") == "1\n") return true;
  return std::count_if(
             devices.begin(), devices.end(), [](const NetDevice& device) {
               return device.name != "lo" &&
                      ReadProc(absl::StrCat("/proc/sys/net/ipv4/conf/",
                                            device.name, "/forwarding")) ==
                          "1\n";
             }) >= 2;
}

absl::Status ReadHere(NetnsView* view) {
  PINION_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  PINION_RETURN_IF_ERROR(ReadDevices(socket, view));
  PINION_RETURN_IF_ERROR(ReadRoutes(socket, view));
  PINION_RETURN_IF_ERROR(ReadNeighbours(socket, view));
  ReadChains(view);
  // Of the thread's namespace: /proc/sys/net is, /proc/net is the process's.
  view->forwards_ipv4 = ForwardsIpv4(view->devices);
  view->forwards_ipv6 =
      ReadProc("/proc/sys/net/ipv6/conf/all/forwarding") == "1\n";
  view->reverse_path_drops =
      ReversePathDrops(ReadProc("/proc/thread-self/net/netstat"));
  return absl::OkStatus();
}

}  // namespace

std::string PlainName(std::string name) {
  for (char& c : name) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                       c == '_' || c == '-' || c == '.' || c == '@';
    if (!plain) c = '?';
  }
  return name;
}

const NetDevice* NetnsView::Find(std::string_view name) const {
  for (const NetDevice& device : devices) {
    if (device.name == name) return &device;
  }
  return nullptr;
}

const NetDevice* NetnsView::FindIndex(int index) const {
  for (const NetDevice& device : devices) {
    if (device.index == index) return &device;
  }
  return nullptr;
}

const NetDevice* NetnsView::WithAddress(std::string_view address) const {
  for (const NetDevice& device : devices) {
    for (const NetAddress& own : device.addresses) {
      if (own.address == address) return &device;
    }
  }
  return nullptr;
}

const NetNeighbour* NetnsView::Neighbour(std::string_view address) const {
  for (const NetNeighbour& neighbour : neighbours) {
    if (neighbour.address == address) return &neighbour;
  }
  return nullptr;
}

absl::Status RunInNetns(int netns_fd, const std::function<void()>& work) {
  if (netns_fd < 0) {
    work();
    return absl::OkStatus();
  }
  absl::Status status;
  std::thread thread([&] {
    if (setns(netns_fd, CLONE_NEWNET) != 0) {
      status = os::ErrnoStatus("setns to the pod's network namespace");
      return;
    }
    work();
  });
  thread.join();
  return status;
}

absl::StatusOr<NetnsView> ReadNetns(int netns_fd) {
  NetnsView view;
  absl::Status read;
  PINION_RETURN_IF_ERROR(RunInNetns(netns_fd, [&] { read = ReadHere(&view); }));
  PINION_RETURN_IF_ERROR(read);
  return view;
}

absl::StatusOr<Way> WayTo(NetlinkSocket& socket, const std::string& address) {
  PINION_ASSIGN_OR_RETURN(const IpAddress to, IpAddress::Parse(address));
  NetlinkBatch batch;
  rtmsg header = {};
  header.rtm_family = to.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<uint8_t>(to.bits());
  batch.Begin(RTM_GETROUTE, 0, header, absl::StrCat("find a way to ", address));
  batch.Add(RTA_DST, to.Bytes().data(), to.byte_count());
  Way way;
  PINION_RETURN_IF_ERROR(
      socket.Query(batch, [&](const NetlinkMessage& message) {
        const Attributes attributes = message.Attributes(sizeof(rtmsg));
        char name[IF_NAMESIZE] = "";
        const uint32_t index =
            NetlinkMessage::U32(NetlinkMessage::Find(attributes, RTA_OIF));
        // In the calling thread's namespace, which is the socket's.
        if (if_indextoname(index, name) != nullptr)
          way.device = PlainName(name);
        way.next_hop =
            AddressText(NetlinkMessage::Find(attributes, RTA_GATEWAY));
        way.source = AddressText(NetlinkMessage::Find(attributes, RTA_PREFSRC));
      }));
  if (way.next_hop.empty()) way.next_hop = address;
  return way;
}

uint64_t ReversePathDrops(std::string_view netstat) {
  // Pairs of lines: "TcpExt: NAME …" and "TcpExt: VALUE …".
  std::vector<absl::string_view> names;
  for (const absl::string_view line : absl::StrSplit(
           absl::string_view(netstat.data(), netstat.size()), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (names.size() == words.size() && names[0] == words[0]) {
      for (size_t i = 1; i < words.size(); ++i) {
        uint64_t value = 0;
        if (names[i] == "IPReversePathFilter" &&
            absl::SimpleAtoi(words[i], &value)) {
          return value;
        }
      }
    }
    names = words;
  }
  return 0;
}

}  // namespace pinion::tools
