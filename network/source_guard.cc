#include "network/source_guard.h"

#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "network/mac.h"
#include "network/nf_tables.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkSocket;

constexpr nft::TableFamily kBridge(NFPROTO_BRIDGE);

constexpr nft::Chain kChain = {"prerouting", "filter", NF_INET_PRE_ROUTING,
                               nft::kBridgeFilter};

// Of the keys' values: the numbers of nft's types, and the sizes in registers.
constexpr uint32_t kTypeOfIpv4 = 7, kTypeOfIpv6 = 8, kTypeOfMac = 9,
                   kTypeOfName = 41;
constexpr uint32_t kNameBytes = IFNAMSIZ, kMacBytes = 8;

// The pods' ports; ports with MAC and address.
constexpr nft::Set kPorts = {"ports", kTypeOfName, kNameBytes};
constexpr nft::Set kIpv4 = {"ipv4",
                            kTypeOfName << 12 | kTypeOfMac << 6 | kTypeOfIpv4,
                            kNameBytes + kMacBytes + 4};
constexpr nft::Set kIpv6 = {"ipv6",
                            kTypeOfName << 12 | kTypeOfMac << 6 | kTypeOfIpv6,
                            kNameBytes + kMacBytes + 16};

// Where a key's values are loaded: registers of four bytes.
constexpr uint32_t kPortRegister = NFT_REG_1, kMacRegister = NFT_REG_2,
                   kAddressRegister = NFT_REG32_00 + 6;

std::string PortKey(const std::string& port) {
  std::string key = port;
  key.resize(kNameBytes);
  return key;
}

std::string AddressKey(const PodSource& pod, const IpAddress& address) {
  std::string key = PortKey(pod.port);
  key.append(pod.mac.begin(), pod.mac.end());
  key.resize(kNameBytes + kMacBytes);
  const std::array<uint8_t, 16> bytes = address.Bytes();
  key.append(bytes.begin(), bytes.begin() + address.byte_count());
  return key;
}

// `change`(set, key) for all that a pod has in the sets.
template <typename Change>
void ForEachElement(const PodSource& pod, const Change& change) {
  std::vector<IpAddress> addresses = pod.addresses;
  if (std::any_of(addresses.begin(), addresses.end(),
                  [](const IpAddress& address) { return !address.is_v4(); })) {
    addresses.push_back(LinkLocalFor(pod.mac));
    // What a pod asks before it has one: duplicate address detection.
    addresses.push_back(*IpAddress::Parse("::"));
  }
  for (const IpAddress& address : addresses) {
    change(address.is_v4() ? kIpv4 : kIpv6, AddressKey(pod, address));
  }
  change(kPorts, PortKey(pod.port));
}

void DeleteElements(NetlinkBatch& batch, const std::string& table,
                    const PodSource& pod) {
  ForEachElement(pod, [&](const nft::Set& set, const std::string& key) {
    nft::DeleteElement(batch, kBridge, table, set, key);
  });
}

void MatchEtherType(NetlinkBatch& batch, uint16_t type) {
  // Of a frame with a VLAN's tag that is the tag's.
  nft::LoadPayload(batch, NFT_PAYLOAD_LL_HEADER, 12, 2);
  const uint16_t wire = htons(type);
  nft::MatchBytes(batch, &wire, sizeof(wire));
}

// From the packet: the port it came by, a MAC and an address.
struct Field {
  uint32_t base;
  uint32_t offset;
};
constexpr Field kFrameSource = {NFT_PAYLOAD_LL_HEADER, 6};

void MatchSource(NetlinkBatch& batch, const nft::Set& set, const Field& mac,
                 const Field& address, bool inside = true) {
  nft::LoadMeta(batch, NFT_META_IIFNAME, kPortRegister);
  nft::LoadPayload(batch, mac.base, mac.offset, 6, kMacRegister);
  nft::LoadPayload(batch, address.base, address.offset,
                   set.key_bytes - kNameBytes - kMacBytes, kAddressRegister);
  nft::MatchSet(batch, set, inside);
}

// icmpv6 type …
void MatchIcmpv6(NetlinkBatch& batch, uint8_t type) {
  MatchEtherType(batch, ETH_P_IPV6);
  const uint8_t protocol = IPPROTO_ICMPV6;
  nft::LoadMeta(batch, NFT_META_L4PROTO);
  nft::MatchBytes(batch, &protocol, sizeof(protocol));
  nft::LoadPayload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
  nft::MatchBytes(batch, &type, sizeof(type));
}

template <typename Matches>
void Accept(NetlinkBatch& batch, const std::string& table, const char* what,
            Matches matches) {
  nft::AddRule(batch, kBridge, table, kChain, what, [&] {
    matches();
    nft::Verdict(batch, NF_ACCEPT);
  });
}

template <typename Matches>
void Drop(NetlinkBatch& batch, const std::string& table, const char* what,
          const nft::Counter& until_now, Matches matches) {
  nft::AddRule(batch, kBridge, table, kChain, what, [&] {
    matches();
    nft::Count(batch, until_now);
    nft::Verdict(batch, NF_DROP);
  });
}

// In the order of the rules that drop.
using Counters = std::array<nft::Counter, 3>;

void AddRules(NetlinkBatch& batch, const std::string& table,
              const Counters& until_now) {
  Accept(batch, table, "for other ports", [&] {
    nft::LoadMeta(batch, NFT_META_IIFNAME);
    nft::MatchSet(batch, kPorts, false);
  });
  Accept(batch, table, "for ARP", [&] {
    // RFC 826: the sender's MAC and address; the frame's MAC as well.
    constexpr Field kSenderMac = {NFT_PAYLOAD_NETWORK_HEADER, 8};
    constexpr Field kSenderAddress = {NFT_PAYLOAD_NETWORK_HEADER, 14};
    MatchEtherType(batch, ETH_P_ARP);
    MatchSource(batch, kIpv4, kSenderMac, kSenderAddress);
    MatchSource(batch, kIpv4, kFrameSource, kSenderAddress);
  });
  Accept(batch, table, "for IPv4", [&] {
    MatchEtherType(batch, ETH_P_IP);
    MatchSource(batch, kIpv4, kFrameSource, {NFT_PAYLOAD_NETWORK_HEADER, 12});
  });
  Drop(batch, table, "against router advertisements", until_now[0],
       [&] { MatchIcmpv6(batch, ND_ROUTER_ADVERT); });
  Drop(batch, table, "against neighbour advertisements", until_now[1], [&] {
    MatchIcmpv6(batch, ND_NEIGHBOR_ADVERT);
    // RFC 4861, 4.4: the target.
    MatchSource(batch, kIpv6, kFrameSource, {NFT_PAYLOAD_TRANSPORT_HEADER, 8},
                false);
  });
  Accept(batch, table, "for IPv6", [&] {
    MatchEtherType(batch, ETH_P_IPV6);
    MatchSource(batch, kIpv6, kFrameSource, {NFT_PAYLOAD_NETWORK_HEADER, 8});
  });
  Drop(batch, table, "against all else", until_now[2], [] {});
}

}  // namespace

absl::Status ReplaceSourceGuard(NetlinkSocket& netfilter,
                                const std::string& table,
                                const std::vector<PodSource>& pods) {
  const auto counted = nft::ListCounters(netfilter, kBridge, table, kChain);
  // Otherwise an earlier version's, or somebody's who has changed the rules.
  Counters until_now{};
  if (counted.ok() && counted->size() == until_now.size()) {
    std::copy(counted->begin(), counted->end(), until_now.begin());
  }
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  nft::DeleteTable(batch, kBridge, table);
  nft::AddTable(batch, kBridge, table);
  uint32_t id = 0;
  for (const nft::Set& set : {kPorts, kIpv4, kIpv6}) {
    nft::AddSet(batch, kBridge, table, set, ++id);
  }
  nft::AddChain(batch, kBridge, table, kChain);
  AddRules(batch, table, until_now);
  for (const PodSource& pod : pods) {
    ForEachElement(pod, [&](const nft::Set& set, const std::string& key) {
      nft::AddElement(batch, kBridge, table, set, key);
    });
  }
  nft::EndTransaction(batch);
  return netfilter.Transact(batch, 1);
}

absl::Status RemoveSourceGuard(NetlinkSocket& netfilter,
                               const std::string& table) {
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  nft::DeleteTable(batch, kBridge, table);
  nft::EndTransaction(batch);
  return netfilter.Transact(batch, 1);
}

absl::Status ReplacePodSource(NetlinkSocket& netfilter,
                              const std::string& table, const PodSource* former,
                              const PodSource& pod) {
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  if (former != nullptr) DeleteElements(batch, table, *former);
  ForEachElement(pod, [&](const nft::Set& set, const std::string& key) {
    nft::AddElement(batch, kBridge, table, set, key);
  });
  nft::EndTransaction(batch);
  return netfilter.Transact(batch, 1);
}

absl::Status RemovePodSource(NetlinkSocket& netfilter, const std::string& table,
                             const PodSource& pod) {
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  DeleteElements(batch, table, pod);
  nft::EndTransaction(batch);
  return netfilter.Transact(batch, 1);
}

}  // namespace pinion::network
