#include "network/service_nat.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/nf_tables.h"

namespace pinion::network {
namespace {

using ipam::Family;
using os::NetlinkBatch;
using os::NetlinkSocket;

constexpr nft::Chain kChain = {"postrouting", "nat", NF_INET_POST_ROUTING,
                               nft::kNatSource};

// ct original ip daddr SERVICES ip saddr SUBNET snat to NODE
void AddRule(NetlinkBatch& batch, const FamilyPlan& plan,
             const std::string& table) {
  const Family family = plan.range.family();
  const std::string what = absl::StrCat("for ", plan.services->ToString());
  nft::AddRule(batch, family, table, kChain, what, [&] {
    // The destination before the node changed it.
    nft::LoadOriginal(batch,
                      family == Family::kIpv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6);
    nft::MatchPrefix(batch, *plan.services);
    nft::LoadSource(batch, family);
    nft::MatchPrefix(batch, plan.subnet);
    // Not "masquerade": that would take an address of the outgoing link, and
    // the host link may have none.
    nft::Translate(batch, NFT_NAT_SNAT, *plan.node);
  });
}

absl::Status Replace(NetlinkSocket& netfilter, const std::string& table,
                     const std::vector<FamilyPlan>& plans) {
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    nft::DeleteTable(batch, family, table);
  }
  for (const FamilyPlan& plan : plans) {
    if (!plan.services || !plan.node) continue;
    nft::AddTable(batch, plan.range.family(), table);
    nft::AddChain(batch, plan.range.family(), table, kChain);
    AddRule(batch, plan, table);
  }
  nft::EndTransaction(batch);
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
