#include "network/nf_tables.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network::nft {
namespace {

using ipam::Family;
using ipam::IpAddress;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkMessage;

void Begin(NetlinkBatch& batch, int type, uint16_t flags, uint8_t family,
           uint16_t resource, std::string what) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  batch.Begin(static_cast<uint16_t>(type), flags, header, std::move(what));
}

void BeginTables(NetlinkBatch& batch, int type, uint16_t flags,
                 TableFamily family, std::string what) {
  Begin(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, family.number, 0,
        std::move(what));
}

void ChangeElement(NetlinkBatch& batch, int type, TableFamily family,
                   const std::string& table, const Set& set,
                   const std::string& key) {
  const bool add = type == NFT_MSG_NEWSETELEM;
  BeginTables(batch, type, add ? NLM_F_CREATE : 0, family,
              absl::StrCat(add ? "add to" : "delete from", " set ", table, " ",
                           set.name));
  batch.AddString(NFTA_SET_ELEM_LIST_TABLE, table);
  batch.AddString(NFTA_SET_ELEM_LIST_SET, set.name);
  Nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    Nest(batch, NFTA_LIST_ELEM,
         [&] { AddValue(batch, NFTA_SET_ELEM_KEY, key.data(), key.size()); });
  });
}

// Register 1 with these bytes.
void Compare(NetlinkBatch& batch, uint32_t operation, const void* data,
             size_t size) {
  AddExpression(batch, "cmp", [&] {
    AddNumber(batch, NFTA_CMP_SREG, NFT_REG_1);
    AddNumber(batch, NFTA_CMP_OP, operation);
    AddValue(batch, NFTA_CMP_DATA, data, size);
  });
}

uint64_t BigEndian64(std::span<const char> content) {
  uint64_t value = 0;
  if (content.size() == sizeof(value)) {
    memcpy(&value, content.data(), sizeof(value));
  }
  return be64toh(value);
}

// Of an expression; nullopt: of another kind.
std::optional<Counter> ParseCounter(std::span<const char> expression) {
  if (NetlinkMessage::String(
          NetlinkMessage::Find(expression, NFTA_EXPR_NAME)) != "counter") {
    return std::nullopt;
  }
  const auto data = NetlinkMessage::Find(expression, NFTA_EXPR_DATA);
  return Counter{
      .packets = BigEndian64(NetlinkMessage::Find(data, NFTA_COUNTER_PACKETS)),
      .bytes = BigEndian64(NetlinkMessage::Find(data, NFTA_COUNTER_BYTES))};
}

}  // namespace

uint8_t NfFamily(Family family) {
  return family == Family::kIpv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

void BeginTransaction(NetlinkBatch& batch) {
  Begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES,
        "begin nf_tables batch");
}

void EndTransaction(NetlinkBatch& batch) {
  Begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES,
        "end nf_tables batch");
}

void AddTable(NetlinkBatch& batch, TableFamily family,
              const std::string& table) {
  BeginTables(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, family,
              absl::StrCat("add table ", table));
  batch.AddString(NFTA_TABLE_NAME, table);
}

// What does not exist cannot be deleted, so it is added first.
void DeleteTable(NetlinkBatch& batch, TableFamily family,
                 const std::string& table) {
  AddTable(batch, family, table);
  BeginTables(batch, NFT_MSG_DELTABLE, 0, family,
              absl::StrCat("delete table ", table));
  batch.AddString(NFTA_TABLE_NAME, table);
}

void AddChain(NetlinkBatch& batch, TableFamily family, const std::string& table,
              const Chain& chain) {
  BeginTables(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family,
              absl::StrCat("add chain ", table, " ", chain.name));
  batch.AddString(NFTA_CHAIN_TABLE, table);
  batch.AddString(NFTA_CHAIN_NAME, chain.name);
  Nest(batch, NFTA_CHAIN_HOOK, [&] {
    AddNumber(batch, NFTA_HOOK_HOOKNUM, chain.hook);
    AddNumber(batch, NFTA_HOOK_PRIORITY, static_cast<uint32_t>(chain.priority));
  });
  batch.AddString(NFTA_CHAIN_TYPE, chain.type);
}

void AddNumber(NetlinkBatch& batch, uint16_t type, uint32_t value) {
  batch.AddU32(type, htonl(value));
}

void AddValue(NetlinkBatch& batch, int type, const void* data, size_t size) {
  Nest(batch, type, [&] { batch.Add(NFTA_DATA_VALUE, data, size); });
}

void AddValue(NetlinkBatch& batch, int type, const IpAddress& value) {
  const std::array<uint8_t, 16> bytes = value.Bytes();
  AddValue(batch, type, bytes.data(), static_cast<size_t>(value.byte_count()));
}

void BeginRule(NetlinkBatch& batch, TableFamily family,
               const std::string& table, const Chain& chain, std::string what) {
  BeginTables(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family,
              absl::StrCat("add rule ", table, " ", what));
  batch.AddString(NFTA_RULE_TABLE, table);
  batch.AddString(NFTA_RULE_CHAIN, chain.name);
}

void LoadMeta(NetlinkBatch& batch, uint32_t key, uint32_t into) {
  AddExpression(batch, "meta", [&] {
    AddNumber(batch, NFTA_META_DREG, into);
    AddNumber(batch, NFTA_META_KEY, key);
  });
}

void LoadPayload(NetlinkBatch& batch, uint32_t base, uint32_t offset,
                 uint32_t length, uint32_t into) {
  AddExpression(batch, "payload", [&] {
    AddNumber(batch, NFTA_PAYLOAD_DREG, into);
    AddNumber(batch, NFTA_PAYLOAD_BASE, base);
    AddNumber(batch, NFTA_PAYLOAD_OFFSET, offset);
    AddNumber(batch, NFTA_PAYLOAD_LEN, length);
  });
}

// RFC 791, 3.1 and RFC 8200, 3.
void LoadSource(NetlinkBatch& batch, Family family) {
  const bool v4 = family == Family::kIpv4;
  LoadPayload(batch, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 12 : 8, v4 ? 4 : 16);
}

void LoadDestination(NetlinkBatch& batch, Family family) {
  const bool v4 = family == Family::kIpv4;
  LoadPayload(batch, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 16 : 24, v4 ? 4 : 16);
}

void LoadDestinationPort(NetlinkBatch& batch) {
  LoadPayload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
}

void LoadOriginal(NetlinkBatch& batch, uint32_t key) {
  AddExpression(batch, "ct", [&] {
    AddNumber(batch, NFTA_CT_DREG, NFT_REG_1);
    AddNumber(batch, NFTA_CT_KEY, key);
    batch.AddU8(NFTA_CT_DIRECTION, 0);  // IP_CT_DIR_ORIGINAL
  });
}

void AddSet(NetlinkBatch& batch, TableFamily family, const std::string& table,
            const Set& set, uint32_t id) {
  BeginTables(batch, NFT_MSG_NEWSET, NLM_F_CREATE, family,
              absl::StrCat("add set ", table, " ", set.name));
  batch.AddString(NFTA_SET_TABLE, table);
  batch.AddString(NFTA_SET_NAME, set.name);
  AddNumber(batch, NFTA_SET_FLAGS, 0);
  AddNumber(batch, NFTA_SET_KEY_TYPE, set.type);
  AddNumber(batch, NFTA_SET_KEY_LEN, set.key_bytes);
  AddNumber(batch, NFTA_SET_ID, id);
}

void AddElement(NetlinkBatch& batch, TableFamily family,
                const std::string& table, const Set& set,
                const std::string& key) {
  ChangeElement(batch, NFT_MSG_NEWSETELEM, family, table, set, key);
}

// As with tables.
void DeleteElement(NetlinkBatch& batch, TableFamily family,
                   const std::string& table, const Set& set,
                   const std::string& key) {
  AddElement(batch, family, table, set, key);
  ChangeElement(batch, NFT_MSG_DELSETELEM, family, table, set, key);
}

void MatchSet(NetlinkBatch& batch, const Set& set, bool inside) {
  AddExpression(batch, "lookup", [&] {
    batch.AddString(NFTA_LOOKUP_SET, set.name);
    AddNumber(batch, NFTA_LOOKUP_SREG, NFT_REG_1);
    AddNumber(batch, NFTA_LOOKUP_FLAGS, inside ? 0 : NFT_LOOKUP_F_INV);
  });
}

void MatchIncomingLink(NetlinkBatch& batch, const std::string& link) {
  // Names are compared whole, with the zeros after them.
  std::array<char, IFNAMSIZ> name{};
  std::copy_n(link.data(), std::min<size_t>(link.size(), IFNAMSIZ - 1),
              name.data());
  LoadMeta(batch, NFT_META_IIFNAME);
  MatchBytes(batch, name.data(), name.size());
}

void MatchBytes(NetlinkBatch& batch, const void* data, size_t size) {
  Compare(batch, NFT_CMP_EQ, data, size);
}

void MatchAddress(NetlinkBatch& batch, const IpAddress& address) {
  const std::array<uint8_t, 16> bytes = address.Bytes();
  MatchBytes(batch, bytes.data(), static_cast<size_t>(address.byte_count()));
}

void MatchPrefix(NetlinkBatch& batch, const IpPrefix& prefix, bool inside) {
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
  const std::array<uint8_t, 16> bytes = prefix.network().Bytes();
  Compare(batch, inside ? NFT_CMP_EQ : NFT_CMP_NEQ, bytes.data(),
          static_cast<size_t>(mask.byte_count()));
}

void MatchPort(NetlinkBatch& batch, uint16_t port) {
  const uint16_t wire = htons(port);
  MatchBytes(batch, &wire, sizeof(wire));
}

void MatchLocalDestination(NetlinkBatch& batch) {
  AddExpression(batch, "fib", [&] {
    AddNumber(batch, NFTA_FIB_DREG, NFT_REG_1);
    AddNumber(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    AddNumber(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
  const uint32_t local = RTN_LOCAL;
  MatchBytes(batch, &local, sizeof(local));
}

// A number in the host's order, as the kernel keeps it.
void MatchTranslated(NetlinkBatch& batch) {
  AddExpression(batch, "ct", [&] {
    AddNumber(batch, NFTA_CT_DREG, NFT_REG_1);
    AddNumber(batch, NFTA_CT_KEY, NFT_CT_STATUS);
  });
  const uint32_t mask = IPS_DST_NAT;
  const uint32_t zero = 0;
  AddExpression(batch, "bitwise", [&] {
    AddNumber(batch, NFTA_BITWISE_SREG, NFT_REG_1);
    AddNumber(batch, NFTA_BITWISE_DREG, NFT_REG_1);
    AddNumber(batch, NFTA_BITWISE_LEN, sizeof(mask));
    AddValue(batch, NFTA_BITWISE_MASK, &mask, sizeof(mask));
    AddValue(batch, NFTA_BITWISE_XOR, &zero, sizeof(zero));
  });
  Compare(batch, NFT_CMP_NEQ, &zero, sizeof(zero));
}

void Translate(NetlinkBatch& batch, uint32_t type, const IpAddress& address,
               uint16_t port) {
  AddExpression(batch, "immediate", [&] {
    AddNumber(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    AddValue(batch, NFTA_IMMEDIATE_DATA, address);
  });
  if (port != 0) {
    AddExpression(batch, "immediate", [&] {
      const uint16_t wire = htons(port);
      AddNumber(batch, NFTA_IMMEDIATE_DREG, NFT_REG_2);
      AddValue(batch, NFTA_IMMEDIATE_DATA, &wire, sizeof(wire));
    });
  }
  AddExpression(batch, "nat", [&] {
    AddNumber(batch, NFTA_NAT_TYPE, type);
    AddNumber(batch, NFTA_NAT_FAMILY, NfFamily(address.family()));
    AddNumber(batch, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    if (port != 0) AddNumber(batch, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
  });
}

void Verdict(NetlinkBatch& batch, uint32_t verdict) {
  AddExpression(batch, "immediate", [&] {
    AddNumber(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    Nest(batch, NFTA_IMMEDIATE_DATA, [&] {
      Nest(batch, NFTA_DATA_VERDICT,
           [&] { AddNumber(batch, NFTA_VERDICT_CODE, verdict); });
    });
  });
}

void Count(NetlinkBatch& batch, const Counter& until_now) {
  AddExpression(batch, "counter", [&] {
    const uint64_t packets = htobe64(until_now.packets);
    const uint64_t bytes = htobe64(until_now.bytes);
    batch.Add(NFTA_COUNTER_PACKETS, &packets, sizeof(packets));
    batch.Add(NFTA_COUNTER_BYTES, &bytes, sizeof(bytes));
  });
}

absl::StatusOr<std::vector<Counter>> ListCounters(os::NetlinkSocket& netfilter,
                                                  TableFamily family,
                                                  const std::string& table,
                                                  const Chain& chain) {
  NetlinkBatch batch;
  BeginTables(batch, NFT_MSG_GETRULE, NLM_F_DUMP, family,
              absl::StrCat("list rules of ", table, " ", chain.name));
  batch.AddString(NFTA_RULE_TABLE, table);
  batch.AddString(NFTA_RULE_CHAIN, chain.name);
  std::vector<Counter> counters;
  PINION_RETURN_IF_ERROR(
      netfilter.Query(batch, [&](const NetlinkMessage& rule) {
        auto expressions = NetlinkMessage::Find(
            rule.Attributes(sizeof(nfgenmsg)), NFTA_RULE_EXPRESSIONS);
        for (;;) {
          const auto one = NetlinkMessage::Find(expressions, NFTA_LIST_ELEM);
          if (one.empty()) return;
          if (const auto counter = ParseCounter(one)) {
            counters.push_back(*counter);
          }
          const size_t end = NLA_ALIGN(static_cast<size_t>(
              one.data() + one.size() - expressions.data()));
          expressions = expressions.subspan(std::min(end, expressions.size()));
        }
      }));
  return counters;
}

void Masquerade(NetlinkBatch& batch) {
  AddExpression(batch, "masq", [] {});
}

}  // namespace pinion::network::nft
