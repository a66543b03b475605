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

#include "ipam/ip_address.h"
#include "ipam/ip_range.h"
#include "os/netlink.h"

namespace pinion::network::nft {

uint8_t NfFamily(ipam::Family family);

void BeginTransaction(os::NetlinkBatch& batch);
// The kernel does not answer it (NetlinkSocket::Transact's `unanswered`).
void EndTransaction(os::NetlinkBatch& batch);

void AddTable(os::NetlinkBatch& batch, ipam::Family family,
              const std::string& table);
// Whether it was there or not.
void DeleteTable(os::NetlinkBatch& batch, ipam::Family family,
                 const std::string& table);

// NF_IP_PRI_… of linux/netfilter_ipv4.h, the same for IPv6.
inline constexpr int32_t kBeforeTracking = -300;
inline constexpr int32_t kNatDestination = -100;
inline constexpr int32_t kNatSource = 100;

struct Chain {
  const char* name;
  const char* type;  // "nat", "filter"
  uint32_t hook;     // NF_INET_…
  int32_t priority;  // NF_IP_PRI_…
};
void AddChain(os::NetlinkBatch& batch, ipam::Family family,
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
void BeginRule(os::NetlinkBatch& batch, ipam::Family family,
               const std::string& table, const Chain& chain, std::string what);
template <typename Body>
void AddRule(os::NetlinkBatch& batch, ipam::Family family,
             const std::string& table, const Chain& chain, std::string what,
             Body expressions) {
  BeginRule(batch, family, table, chain, std::move(what));
  Nest(batch, NFTA_RULE_EXPRESSIONS, expressions);
}

// Loads into register 1.
void LoadMeta(os::NetlinkBatch& batch, uint32_t key);
void LoadPayload(os::NetlinkBatch& batch, uint32_t base, uint32_t offset,
                 uint32_t length);
void LoadSource(os::NetlinkBatch& batch, ipam::Family family);
void LoadDestination(os::NetlinkBatch& batch, ipam::Family family);
// TCP's, UDP's or SCTP's.
void LoadDestinationPort(os::NetlinkBatch& batch);
// Of the connection as it was asked for, before any translation.
void LoadOriginal(os::NetlinkBatch& batch, uint32_t key);

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

}  // namespace pinion::network::nft

#endif  // PINION_NETWORK_NF_TABLES_H_
