#include "network/neighbour_frames.h"

#include <net/ethernet.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace pinion::network {
namespace {

using ipam::IpAddress;
using Ipv6Bytes = std::array<uint8_t, 16>;

constexpr uint8_t kIcmpV6 = 58;
constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;
// RFC 4861, 7.1: whatever passed a router has less.
constexpr uint8_t kHopLimit = 255;

// Where things are in a frame.
constexpr size_t kEtherType = 12;
constexpr size_t kPayload = 14;
constexpr size_t kArpSize = kPayload + 28;
constexpr size_t kIpv6Source = kPayload + 8;
constexpr size_t kIcmp = kPayload + 40;
constexpr size_t kTarget = kIcmp + 8;
constexpr size_t kDiscoverySize = kTarget + 16;

void Append(std::string& frame, std::initializer_list<uint8_t> bytes) {
  for (const uint8_t byte : bytes) frame.push_back(static_cast<char>(byte));
}

template <typename Bytes>
void AppendBytes(std::string& frame, const Bytes& bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    frame.push_back(static_cast<char>(bytes[i]));
  }
}

// An ARP request (RFC 826) to everybody for `address`.
std::string ArpRequest(const IpAddress& address, const MacAddress& mac,
                       const IpAddress& sender) {
  std::string frame(ETH_ALEN, '\xff');
  AppendBytes(frame, mac, ETH_ALEN);
  Append(frame, {0x08, 0x06});                  // EtherType ARP
  Append(frame, {0, 1, 0x08, 0, ETH_ALEN, 4});  // Ethernet, IPv4
  Append(frame, {0, 1});                        // request
  AppendBytes(frame, mac, ETH_ALEN);
  AppendBytes(frame, sender.Bytes(), 4);
  Append(frame, {0, 0, 0, 0, 0, 0});
  AppendBytes(frame, address.Bytes(), 4);
  return frame;
}

// RFC 1071, over what RFC 4443, 2.3 names.
uint16_t Checksum(const std::string& addresses, const std::string& icmp) {
  std::string summed = addresses;
  Append(summed,
         {0, 0, 0, static_cast<uint8_t>(icmp.size()), 0, 0, 0, kIcmpV6});
  summed += icmp;
  uint32_t sum = 0;
  for (size_t i = 0; i < summed.size(); i += 2) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(summed[i]) << 8 |
                                 static_cast<uint8_t>(summed[i + 1]));
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// To a multicast group, so its MAC follows from the address (RFC 2464, 7).
std::string DiscoveryFrame(const MacAddress& mac, const Ipv6Bytes& source,
                           const Ipv6Bytes& group, std::string icmp) {
  std::string addresses;
  AppendBytes(addresses, source, 16);
  AppendBytes(addresses, group, 16);
  const uint16_t sum = Checksum(addresses, icmp);
  icmp[2] = static_cast<char>(sum >> 8);
  icmp[3] = static_cast<char>(sum);

  std::string frame;
  Append(frame, {0x33, 0x33, group[12], group[13], group[14], group[15]});
  AppendBytes(frame, mac, ETH_ALEN);
  Append(frame, {0x86, 0xdd, 0x60, 0, 0, 0, 0,
                 static_cast<uint8_t>(icmp.size()), kIcmpV6, kHopLimit});
  return frame + addresses + icmp;
}

uint8_t At(std::string_view frame, size_t at) {
  return static_cast<uint8_t>(frame[at]);
}

std::optional<IpAddress> AddressAt(std::string_view frame, size_t at,
                                   size_t size) {
  return IpAddress::FromBytes(frame.data() + at, size);
}

bool IsZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char byte) { return byte == 0; });
}

std::optional<IpAddress> ReadArp(std::string_view frame) {
  static constexpr char kEthernetIpv4[] = {0, 1, 8, 0, ETH_ALEN, 4, 0};
  const std::string_view header(kEthernetIpv4, sizeof(kEthernetIpv4));
  if (frame.size() < kArpSize ||
      frame.substr(kPayload, header.size()) != header) {
    return std::nullopt;
  }
  constexpr size_t kSender = kPayload + 14;
  constexpr size_t kAsked = kPayload + 24;
  const bool probe = IsZero(frame.substr(kSender, 4));
  return AddressAt(frame, probe ? kAsked : kSender, 4);
}

std::optional<IpAddress> ReadDiscovery(std::string_view frame) {
  if (frame.size() < kDiscoverySize || At(frame, kPayload) >> 4 != 6 ||
      At(frame, kPayload + 6) != kIcmpV6 ||
      At(frame, kPayload + 7) != kHopLimit) {
    return std::nullopt;
  }
  const uint8_t type = At(frame, kIcmp);
  const bool claim =
      type == kAdvertisement ||
      (type == kSolicitation && IsZero(frame.substr(kIpv6Source, 16)));
  if (!claim) return std::nullopt;
  return AddressAt(frame, kTarget, 16);
}

}  // namespace

std::string AnnouncementFrame(const IpAddress& address, const MacAddress& mac) {
  if (address.is_v4()) return ArpRequest(address, mac, address);
  // With the override flag and the target's link-layer address, to all nodes.
  std::string icmp;
  Append(icmp, {kAdvertisement, 0, 0, 0, 0x20, 0, 0, 0});
  AppendBytes(icmp, address.Bytes(), 16);
  Append(icmp, {2, 1});
  AppendBytes(icmp, mac, ETH_ALEN);
  return DiscoveryFrame(mac, address.Bytes(),
                        {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
                        icmp);
}

std::string ProbeFrame(const IpAddress& address, const MacAddress& mac) {
  if (address.is_v4()) return ArpRequest(address, mac, IpAddress());
  const auto ip = address.Bytes();
  std::string icmp;
  Append(icmp, {kSolicitation, 0, 0, 0, 0, 0, 0, 0});
  AppendBytes(icmp, ip, 16);
  // The solicited-node group (RFC 4291, 2.7.1), from the unspecified address.
  return DiscoveryFrame(
      mac, {},
      {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ip[13], ip[14], ip[15]},
      icmp);
}

std::optional<AddressClaim> ReadClaim(std::string_view frame) {
  if (frame.size() < kPayload) return std::nullopt;
  const int type = At(frame, kEtherType) << 8 | At(frame, kEtherType + 1);
  const std::optional<IpAddress> address =
      type == ETHERTYPE_ARP    ? ReadArp(frame)
      : type == ETHERTYPE_IPV6 ? ReadDiscovery(frame)
                               : std::nullopt;
  if (!address.has_value()) return std::nullopt;
  AddressClaim claim{.address = *address};
  for (size_t i = 0; i < claim.mac.size(); ++i) {
    claim.mac[i] = At(frame, ETH_ALEN + i);
  }
  return claim;
}

}  // namespace pinion::network
