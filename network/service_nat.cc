#include "network/service_nat.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpAddress;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkSocket;

constexpr char kChain[] = "postrouting";
// NF_IP_PRI_NAT_SRC
constexpr uint32_t kPriority = 100;
// Where the source address is in an IP header, and how long it is.
struct SourceField {
  uint32_t offset;
  uint32_t length;
};

uint8_t NfFamily(Family family) {
  return family == Family::kIpv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

void Begin(NetlinkBatch& batch, int type, uint16_t flags, uint8_t family,
           uint16_t resource, std::string what) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  batch.Begin(static_cast<uint16_t>(type), flags, header, std::move(what));
}

void BeginTransaction(NetlinkBatch& batch) {
  Begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES,
        "begin nf_tables batch");
}

void EndTransaction(NetlinkBatch& batch) {
  Begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES,
        "end nf_tables batch");
}

void BeginTables(NetlinkBatch& batch, int type, uint16_t flags, Family family,
                 std::string what) {
  Begin(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NfFamily(family), 0,
        std::move(what));
}

// Numbers are in network order throughout nf_tables.
void AddNumber(NetlinkBatch& batch, uint16_t type, uint32_t value) {
  batch.AddU32(type, htonl(value));
}

template <typename Body>
void Nest(NetlinkBatch& batch, int type, Body body) {
  batch.Nest(static_cast<uint16_t>(type | NLA_F_NESTED), body);
}

void AddValue(NetlinkBatch& batch, int type, const IpAddress& value) {
  const std::array<uint8_t, 16> bytes = value.Bytes();
  Nest(batch, type,
       [&] { batch.Add(NFTA_DATA_VALUE, bytes.data(), value.byte_count()); });
}

template <typename Body>
void AddExpression(NetlinkBatch& batch, const char* name, Body body) {
  Nest(batch, NFTA_LIST_ELEM, [&] {
    batch.AddString(NFTA_EXPR_NAME, name);
    Nest(batch, NFTA_EXPR_DATA, body);
  });
}

// "register 1 is within this prefix"
void AddPrefixMatch(NetlinkBatch& batch, const IpPrefix& prefix) {
  const IpPrefix everything = IpPrefix::Around(prefix.network(), 0);
  const IpAddress mask =
      IpPrefix::Around(everything.Last(), prefix.length()).network();
  AddExpression(batch, "bitwise", [&] {
    AddNumber(batch, NFTA_BITWISE_SREG, NFT_REG_1);
    AddNumber(batch, NFTA_BITWISE_DREG, NFT_REG_1);
    AddNumber(batch, NFTA_BITWISE_LEN,
              static_cast<uint32_t>(mask.byte_count()));
    AddValue(batch, NFTA_BITWISE_MASK, mask);
    AddValue(batch, NFTA_BITWISE_XOR, everything.network());
  });
  AddExpression(batch, "cmp", [&] {
    AddNumber(batch, NFTA_CMP_SREG, NFT_REG_1);
    AddNumber(batch, NFTA_CMP_OP, NFT_CMP_EQ);
    AddValue(batch, NFTA_CMP_DATA, prefix.network());
  });
}

void AddTable(NetlinkBatch& batch, Family family, const std::string& table) {
  BeginTables(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, family,
              absl::StrCat("add table ", table));
  batch.AddString(NFTA_TABLE_NAME, table);
}

// Whether it was there or not: what does not exist cannot be deleted, so it
// is added first; both happen at once or not at all.
void DeleteTable(NetlinkBatch& batch, Family family, const std::string& table) {
  AddTable(batch, family, table);
  BeginTables(batch, NFT_MSG_DELTABLE, 0, family,
              absl::StrCat("delete table ", table));
  batch.AddString(NFTA_TABLE_NAME, table);
}

void AddChain(NetlinkBatch& batch, Family family, const std::string& table) {
  BeginTables(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family,
              absl::StrCat("add chain ", table, " ", kChain));
  batch.AddString(NFTA_CHAIN_TABLE, table);
  batch.AddString(NFTA_CHAIN_NAME, kChain);
  Nest(batch, NFTA_CHAIN_HOOK, [&] {
    AddNumber(batch, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
    AddNumber(batch, NFTA_HOOK_PRIORITY, kPriority);
  });
  batch.AddString(NFTA_CHAIN_TYPE, "nat");
}

// ct original ip daddr SERVICES ip saddr SUBNET snat to NODE
void AddRule(NetlinkBatch& batch, const FamilyPlan& plan,
             const std::string& table) {
  const Family family = plan.range.family();
  const bool v4 = family == Family::kIpv4;
  const SourceField source =
      v4 ? SourceField{.offset = 12, .length = 4}   // RFC 791, 3.1
         : SourceField{.offset = 8, .length = 16};  // RFC 8200, 3
  BeginTables(
      batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family,
      absl::StrCat("add rule ", table, " for ", plan.services->ToString()));
  batch.AddString(NFTA_RULE_TABLE, table);
  batch.AddString(NFTA_RULE_CHAIN, kChain);
  Nest(batch, NFTA_RULE_EXPRESSIONS, [&] {
    // The destination before the node changed it.
    AddExpression(batch, "ct", [&] {
      AddNumber(batch, NFTA_CT_DREG, NFT_REG_1);
      AddNumber(batch, NFTA_CT_KEY, v4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6);
      batch.AddU8(NFTA_CT_DIRECTION, 0);  // IP_CT_DIR_ORIGINAL
    });
    AddPrefixMatch(batch, *plan.services);
    AddExpression(batch, "payload", [&] {
      AddNumber(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
      AddNumber(batch, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
      AddNumber(batch, NFTA_PAYLOAD_OFFSET, source.offset);
      AddNumber(batch, NFTA_PAYLOAD_LEN, source.length);
    });
    AddPrefixMatch(batch, plan.subnet);
    AddExpression(batch, "immediate", [&] {
      AddNumber(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
      AddValue(batch, NFTA_IMMEDIATE_DATA, *plan.node);
    });
    // Not "masquerade": that would take an address of the outgoing link, and
    // the host link may have none.
    AddExpression(batch, "nat", [&] {
      AddNumber(batch, NFTA_NAT_TYPE, NFT_NAT_SNAT);
      AddNumber(batch, NFTA_NAT_FAMILY, NfFamily(family));
      AddNumber(batch, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    });
  });
}

absl::Status Replace(NetlinkSocket& netfilter, const std::string& table,
                     const std::vector<FamilyPlan>& plans) {
  NetlinkBatch batch;
  BeginTransaction(batch);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    DeleteTable(batch, family, table);
  }
  for (const FamilyPlan& plan : plans) {
    if (!plan.services || !plan.node) continue;
    AddTable(batch, plan.range.family(), table);
    AddChain(batch, plan.range.family(), table);
    AddRule(batch, plan, table);
  }
  EndTransaction(batch);
  return netfilter.Transact(batch, 1);
}

}  // namespace

absl::Status ReplaceServiceNat(NetlinkSocket& netfilter,
                               const std::string& table,
                               const std::vector<FamilyPlan>& plans) {
  return Annotate(Replace(netfilter, table, plans), "nf_tables");
}

absl::Status RemoveServiceNat(NetlinkSocket& netfilter,
                              const std::string& table) {
  return Annotate(Replace(netfilter, table, {}), "nf_tables");
}

}  // namespace pinion::network
