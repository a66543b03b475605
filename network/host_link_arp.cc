#include "network/host_link_arp.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/link_settings.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkSocket;

// Documentation/networking/ip-sysctl: only for the link's own addresses; with
// no address but those.
constexpr uint32_t kAnswerForOwn = 1;
constexpr uint32_t kNameOwn = 2;

// AppendAddress makes such as packets may come from.
void AppendOfScopeLink(NetlinkBatch& batch, const Link& link,
                       const IpAddress& address) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = static_cast<uint8_t>(address.bits());
  header.ifa_scope = RT_SCOPE_LINK;
  header.ifa_index = static_cast<uint32_t>(link.index);
  batch.Begin(
      RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header,
      absl::StrCat("add address ", address.ToString(), " to ", link.name));
  const auto bytes = address.Bytes();
  batch.Add(IFA_LOCAL, bytes.data(), address.byte_count());
  batch.Add(IFA_ADDRESS, bytes.data(), address.byte_count());
}

bool NodeIsElsewhere(const FamilyPlan& plan) {
  return plan.node && plan.node->is_v4() && !plan.node_on_host_link;
}

}  // namespace

IpAddress ArpSender(const MacAddress& host_link) {
  const uint8_t bytes[4] = {169, 254, 255,
                            static_cast<uint8_t>(1 + host_link[5] % 254)};
  return *IpAddress::FromBytes(bytes, sizeof(bytes));
}

absl::Status AppendArpChanges(NetlinkSocket& socket, const Link& link,
                              const std::vector<FamilyPlan>& plans,
                              NetlinkBatch& batch) {
  PINION_ASSIGN_OR_RETURN(const LinkSettings settings,
                          GetLinkSettings(socket, link.index));
  if (settings.arp_ignore != kAnswerForOwn) {
    AppendIpv4Setting(batch, link.index, link.name, Ipv4Setting::kArpIgnore,
                      kAnswerForOwn);
  }
  if (settings.arp_announce != kNameOwn) {
    AppendIpv4Setting(batch, link.index, link.name, Ipv4Setting::kArpAnnounce,
                      kNameOwn);
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses,
                          ListAddresses(socket, link.index));
  const IpAddress sender = ArpSender(link.mac);
  const bool has =
      std::any_of(addresses.begin(), addresses.end(),
                  [&sender](const LinkAddress& address) {
                    return address.address == sender && !address.global;
                  });
  const bool needs = std::any_of(plans.begin(), plans.end(), NodeIsElsewhere);
  if (needs && !has) AppendOfScopeLink(batch, link, sender);
  return absl::OkStatus();
}

}  // namespace pinion::network
