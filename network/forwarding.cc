#include "network/forwarding.h"

#include <errno.h>
#include <linux/netconf.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/sysctl_name.h"
#include "os/network_namespace.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;
using Attributes = std::span<const char>;

// The first device of every network namespace (net/core/net_namespace.c).
constexpr int kLoopbackIndex = 1;

// Reserved (RFC 1112, 4): no route is made for it but those for everything.
IpAddress Anywhere() { return *IpAddress::Parse("240.0.0.1"); }

// The device that the settings are of, or NETCONFA_IFINDEX_ALL and the like.
int SettingsIndex(Attributes attributes) {
  return static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, NETCONFA_IFINDEX)));
}

// By which device packets to the internet leave, and how large they may be.
struct WayOut {
  int index = 0;     // 0: none
  uint32_t mtu = 0;  // 0: the route does not say
};

absl::StatusOr<WayOut> AskWayOut(NetlinkSocket& socket) {
  const IpAddress anywhere = Anywhere();
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = static_cast<uint8_t>(anywhere.bits());
  NetlinkBatch batch;
  batch.Begin(RTM_GETROUTE, 0, header, "find the way out");
  batch.Add(RTA_DST, anywhere.Bytes().data(), anywhere.byte_count());
  WayOut way;
  const absl::Status status =
      socket.Query(batch, [&way](const NetlinkMessage& message) {
        const auto* route = message.header<rtmsg>();
        if (message.type() != RTM_NEWROUTE || route == nullptr) return;
        const Attributes attributes = message.Attributes(sizeof(*route));
        way.index = static_cast<int>(
            NetlinkMessage::U32(NetlinkMessage::Find(attributes, RTA_OIF)));
        way.mtu = NetlinkMessage::U32(NetlinkMessage::Find(
            NetlinkMessage::Find(attributes, RTA_METRICS), RTAX_MTU));
      });
  switch (os::NetlinkErrno(status)) {
    case 0:
      PINION_RETURN_IF_ERROR(status);
      return way.index == kLoopbackIndex ? WayOut() : way;
    case ENETUNREACH:
    case EHOSTUNREACH:
    // Of routes that refuse: "prohibit", "blackhole".
    case EACCES:
    case EINVAL:
      return WayOut();
    default:
      return status;
  }
}

Readiness ForwardingOff(const std::string& setting, Family family) {
  // The kernel drops what it has learned of routers when it becomes one itself
  // (rt6_purge_dflt_routers), and heeds them no more.
  const char* const first =
      family == Family::kIpv6
          ? "; first, where the node's own way out is a router's "
            "advertisement (ip -6 route show proto ra), set "
            "net.ipv6.conf.<that device>.accept_ra=2, or it is lost"
          : "";
  return {.ready = false,
          .reason = "ForwardingOff",
          .message = absl::StrCat(
              setting, " is 0: pods on a bridge would reach nothing by ",
              ipam::FamilyName(family), " but this node", first,
              family == Family::kIpv6 ? "; then" : ";", " run sysctl -w ",
              setting, "=1, and write it to a file in /etc/sysctl.d")};
}

absl::StatusOr<Readiness> CheckIpv4(NetlinkSocket& socket, const Link& bridge,
                                    const Forwarding& forwarding) {
  const Readiness ready{true, "", ""};
  PINION_ASSIGN_OR_RETURN(const WayOut way, AskWayOut(socket));
  const int way_out = way.index;
  if (way_out != 0 && way_out != bridge.index && forwarding.Forwards(way_out)) {
    return ready;
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  std::string off = "net.ipv4.ip_forward";
  for (const Link& link : links) {
    if (link.index == way_out && link.index != bridge.index) {
      // To set what is 1 already for all changes nothing for one device.
      if (forwarding.ipv4) off = Ipv4SettingName(link.name, "forwarding");
      return ForwardingOff(off, Family::kIpv4);
    }
  }
  const bool any =
      std::any_of(links.begin(), links.end(), [&forwarding](const Link& link) {
        return link.index != kLoopbackIndex && link.kind != "bridge" &&
               forwarding.Forwards(link.index);
      });
  return any || forwarding.ipv4 ? ready : ForwardingOff(off, Family::kIpv4);
}

}  // namespace

bool Forwarding::Forwards(int link_index) const {
  return std::find(ipv4_links.begin(), ipv4_links.end(), link_index) !=
         ipv4_links.end();
}

absl::StatusOr<std::optional<Link>> FindWayOut(NetlinkSocket& socket) {
  PINION_ASSIGN_OR_RETURN(const WayOut way, AskWayOut(socket));
  if (way.index == 0) return std::nullopt;
  absl::StatusOr<Link> link = FindLink(socket, way.index);
  if (absl::IsNotFound(link.status())) return std::nullopt;
  PINION_RETURN_IF_ERROR(link.status());
  if (way.mtu != 0) link->mtu = std::min(link->mtu, way.mtu);
  return *std::move(link);
}

absl::StatusOr<Forwarding> GetForwarding(NetlinkSocket& socket) {
  Forwarding result;
  std::vector<uint8_t> families = {AF_INET};
  if (os::KernelHasIpv6()) families.push_back(AF_INET6);
  for (const uint8_t family : families) {
    NetlinkBatch batch;
    batch.Begin(RTM_GETNETCONF, NLM_F_DUMP, netconfmsg{.ncm_family = family},
                "list network settings");
    PINION_RETURN_IF_ERROR(
        socket.Query(batch, [&](const NetlinkMessage& message) {
          const auto* header = message.header<netconfmsg>();
          if (message.type() != RTM_NEWNETCONF || header == nullptr) return;
          const Attributes attributes = message.Attributes(sizeof(*header));
          if (NetlinkMessage::U32(
                  NetlinkMessage::Find(attributes, NETCONFA_FORWARDING)) == 0) {
            return;
          }
          const int index = SettingsIndex(attributes);
          const bool all = index == NETCONFA_IFINDEX_ALL;
          if (header->ncm_family == AF_INET6) {
            result.ipv6 |= all;
          } else if (all) {
            result.ipv4 = true;
          } else if (index > 0) {
            result.ipv4_links.push_back(index);
          }
        }));
  }
  return result;
}

absl::StatusOr<Readiness> CheckForwarding(
    NetlinkSocket& socket, const Link& bridge,
    const std::vector<FamilyPlan>& plans) {
  PINION_ASSIGN_OR_RETURN(const Forwarding forwarding, GetForwarding(socket));
  for (const FamilyPlan& plan : plans) {
    if (plan.range.family() == Family::kIpv6) {
      if (forwarding.ipv6) continue;
      return ForwardingOff("net.ipv6.conf.all.forwarding", Family::kIpv6);
    }
    PINION_ASSIGN_OR_RETURN(Readiness ipv4,
                            CheckIpv4(socket, bridge, forwarding));
    if (!ipv4.ready) return ipv4;
  }
  return Readiness{true, "", ""};
}

bool IsForwardingChange(const NetlinkMessage& message) {
  if (message.type() == RTM_NEWROUTE || message.type() == RTM_DELROUTE) {
    const auto* route = message.header<rtmsg>();
    if (route == nullptr || route->rtm_family != AF_INET) return false;
    const Attributes bytes =
        NetlinkMessage::Find(message.Attributes(sizeof(*route)), RTA_DST);
    const auto destination = IpAddress::FromBytes(bytes.data(), bytes.size());
    return !destination ||
           ipam::IpPrefix::Around(*destination, route->rtm_dst_len)
               .Contains(Anywhere());
  }
  const auto* header = message.header<netconfmsg>();
  if (message.type() != RTM_NEWNETCONF || header == nullptr) return false;
  const Attributes attributes = message.Attributes(sizeof(*header));
  const int index = SettingsIndex(attributes);
  // A new device is told of with all of its settings; each pod's is one.
  return index == NETCONFA_IFINDEX_ALL ||
         (header->ncm_family == AF_INET && index > 0 &&
          !NetlinkMessage::Find(attributes, NETCONFA_FORWARDING).empty() &&
          NetlinkMessage::Find(attributes, NETCONFA_RP_FILTER).empty());
}

}  // namespace pinion::network
