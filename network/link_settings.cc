#include "network/link_settings.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include <span>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network {
namespace {

using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;

// The values of a family, an array.
uint32_t At(std::span<const char> values, size_t position) {
  uint32_t value = 0;
  if (values.size() < (position + 1) * sizeof(value)) return 0;
  memcpy(&value, values.data() + position * sizeof(value), sizeof(value));
  return value;
}

}  // namespace

absl::StatusOr<LinkSettings> GetLinkSettings(NetlinkSocket& socket, int index) {
  ifinfomsg header{};
  header.ifi_index = index;
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, header, absl::StrCat("settings of link ", index));
  LinkSettings settings;
  PINION_RETURN_IF_ERROR(
      socket.Query(batch, [&settings](const NetlinkMessage& message) {
        const auto families = NetlinkMessage::Find(
            message.Attributes(sizeof(ifinfomsg)), IFLA_AF_SPEC);
        const auto ipv4 = NetlinkMessage::Find(
            NetlinkMessage::Find(families, AF_INET), IFLA_INET_CONF);
        const auto ipv6 = NetlinkMessage::Find(
            NetlinkMessage::Find(families, AF_INET6), IFLA_INET6_CONF);
        // IPv4's begin with 1, IPv6's with 0.
        settings = {.arp_announce = At(ipv4, IPV4_DEVCONF_ARP_ANNOUNCE - 1),
                    .arp_ignore = At(ipv4, IPV4_DEVCONF_ARP_IGNORE - 1),
                    .accept_ra = At(ipv6, DEVCONF_ACCEPT_RA)};
      }));
  return settings;
}

}  // namespace pinion::network
