// nf_tables by hand: the messages and expressions that the rules of this
// folder are made of. What `nft --debug=netlink list table` prints is what
// stands here.
//
// A batch is one transaction: all of it comes into force, or nothing.

#ifndef PINION_NETWORK_NF_TABLES_H_
#define PINION_NETWORK_NF_TABLES_H_

#include <arpa/inet.h>  // Before linux/in.h.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "ipam/ip_range.h"
#include "os/netlink.h"

namespace pinion::network::nft {

uint8_t NfFamily(ipam::Family family);

// Whose packets a table sees: a family's, or whatever bridges carry.
struct TableFamily {
  // NOLINTNEXTLINE(google-explicit-constructor): most tables are of a family.
  TableFamily(ipam::Family family) : number(NfFamily(family)) {}
  explicit constexpr TableFamily(uint8_t nf_family) : number(nf_family) {}
  uint8_t number;  // NFPROTO_…
};

void BeginTransaction(os::NetlinkBatch& batch);
// The kernel does not answer it (NetlinkSocket::Transact's `unanswered`).
void EndTransaction(os::NetlinkBatch& batch);

void AddTable(os::NetlinkBatch& batch, TableFamily family,
              const std::string& table);
// Whether it was there or not.
void DeleteTable(os::NetlinkBatch& batch, TableFamily family,
                 const std::string& table);

// NF_IP_PRI_… of linux/netfilter_ipv4.h, the same for IPv6.
inline constexpr int32_t kBeforeTracking = -300;
inline constexpr int32_t kNatDestination = -100;
inline constexpr int32_t kNatSource = 100;
// NF_BR_PRI_FILTER_BRIDGED of linux/netfilter_bridge.h: before br_netfilter
// hands a frame to the chains of its family.
inline constexpr int32_t kBridgeFilter = -200;

struct Chain {
  const char* name;
  const char* type;  // "nat", "filter"
  uint32_t hook;     // NF_INET_…
  int32_t priority;  // NF_IP_PRI_…
};
void AddChain(os::NetlinkBatch& batch, TableFamily family,
              const std::string& table, const Chain& chain);

// Numbers are in network order throughout nf_tables.
void AddNumber(os::NetlinkBatch& batch, uint16_t type, uint32_t value);
void AddValue(os::NetlinkBatch& batch, int type, const void* data, size_t size);
void AddValue(os::NetlinkBatch& batch, int type, const ipam::IpAddress& value);

template <typename Body>
void Nest(os::NetlinkBatch& batch, int type, Body body) {
  batch.Nest(static_cast<uint16_t>(type | NLA_F_NESTED), body);
}

template <typename Body>
void AddExpression(os::NetlinkBatch& batch, const char* name, Body body) {
  Nest(batch, NFTA_LIST_ELEM, [&] {
    batch.AddString(NFTA_EXPR_NAME, name);
    Nest(batch, NFTA_EXPR_DATA, body);
  });
}

// A rule at the end of a chain, with the expressions that `expressions` adds.
void BeginRule(os::NetlinkBatch& batch, TableFamily family,
               const std::string& table, const Chain& chain, std::string what);
template <typename Body>
void AddRule(os::NetlinkBatch& batch, TableFamily family,
             const std::string& table, const Chain& chain, std::string what,
             Body expressions) {
  BeginRule(batch, family, table, chain, std::move(what));
  Nest(batch, NFTA_RULE_EXPRESSIONS, expressions);
}

// Load into register 1, the first two into any other one.
void LoadMeta(os::NetlinkBatch& batch, uint32_t key, uint32_t into = NFT_REG_1);
void LoadPayload(os::NetlinkBatch& batch, uint32_t base, uint32_t offset,
                 uint32_t length, uint32_t into = NFT_REG_1);
void LoadSource(os::NetlinkBatch& batch, ipam::Family family);
void LoadDestination(os::NetlinkBatch& batch, ipam::Family family);
// TCP's, UDP's or SCTP's.
void LoadDestinationPort(os::NetlinkBatch& batch);
// Of the connection as it was asked for, before any translation.
void LoadOriginal(os::NetlinkBatch& batch, uint32_t key);

// The packet came in by the link of this name.
void MatchIncomingLink(os::NetlinkBatch& batch, const std::string& link);

// A set of keys, which may be several values in a row: each takes a multiple of
// four bytes. `type` is for nft(8), which shows them: the values' types, six
// bits each. `id` is the set's within the batch.
struct Set {
  const char* name;
  uint32_t type;
  uint32_t key_bytes;
};
void AddSet(os::NetlinkBatch& batch, TableFamily family,
            const std::string& table, const Set& set, uint32_t id);
// One key; that it is there already is no error.
void AddElement(os::NetlinkBatch& batch, TableFamily family,
                const std::string& table, const Set& set,
                const std::string& key);
// Whether it was there or not.
void DeleteElement(os::NetlinkBatch& batch, TableFamily family,
                   const std::string& table, const Set& set,
                   const std::string& key);
// The key from register 1 on must (`inside` false: must not) be in the set.
void MatchSet(os::NetlinkBatch& batch, const Set& set, bool inside = true);

// What register 1 must be for the rule to go on.
void MatchBytes(os::NetlinkBatch& batch, const void* data, size_t size);
void MatchAddress(os::NetlinkBatch& batch, const ipam::IpAddress& address);
// `inside` false: must not be within it.
void MatchPrefix(os::NetlinkBatch& batch, const ipam::IpPrefix& prefix,
                 bool inside = true);
void MatchPort(os::NetlinkBatch& batch, uint16_t port);
// The packet is for one of the node's own addresses.
void MatchLocalDestination(os::NetlinkBatch& batch);
// The connection's destination was translated.
void MatchTranslated(os::NetlinkBatch& batch);

// New source (NFT_NAT_SNAT) or destination (NFT_NAT_DNAT); port 0: kept.
void Translate(os::NetlinkBatch& batch, uint32_t type,
               const ipam::IpAddress& address, uint16_t port = 0);

// NF_ACCEPT or NF_DROP.
void Verdict(os::NetlinkBatch& batch, uint32_t verdict);
// What comes here, for people to see.
struct Counter {
  uint64_t packets = 0;
  uint64_t bytes = 0;
};
void Count(os::NetlinkBatch& batch, const Counter& until_now = {});
// Where the chain's rules have come to with counting, in their order; empty if
// there is no such chain.
absl::StatusOr<std::vector<Counter>> ListCounters(os::NetlinkSocket& netfilter,
                                                  TableFamily family,
                                                  const std::string& table,
                                                  const Chain& chain);

// New source: an address of the link by which the packet leaves.
void Masquerade(os::NetlinkBatch& batch);

}  // namespace pinion::network::nft

#endif  // PINION_NETWORK_NF_TABLES_H_
