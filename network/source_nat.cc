#include "network/source_nat.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/nf_tables.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkSocket;

constexpr nft::Chain kChain = {"postrouting", "nat", NF_INET_POST_ROUTING,
                               nft::kNatSource};

// ct original ip daddr SERVICES ip saddr SUBNET snat to NODE
void AddServices(NetlinkBatch& batch, const FamilyPlan& plan,
                 const std::string& table, bool masquerade) {
  const Family family = plan.range.family();
  const std::string what = absl::StrCat("for ", plan.services->ToString());
  nft::AddRule(batch, family, table, kChain, what, [&] {
    // The destination before the node changed it.
    nft::LoadOriginal(batch,
                      family == Family::kIpv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6);
    nft::MatchPrefix(batch, *plan.services);
    nft::LoadSource(batch, family);
    nft::MatchPrefix(batch, plan.subnet);
    // Backends elsewhere are the other rule's.
    if (masquerade) {
      nft::LoadDestination(batch, family);
      nft::MatchPrefix(batch, plan.subnet);
    }
    // Not "masquerade": that would take an address of the outgoing link, and
    // the host link may have none.
    nft::Translate(batch, NFT_NAT_SNAT, *plan.node);
  });
}

// ip saddr SUBNET ip daddr != SUBNET ip daddr != EXCEPTION … masquerade
void AddMasquerade(NetlinkBatch& batch, const FamilyPlan& plan,
                   const std::string& table,
                   const std::vector<IpPrefix>& exceptions) {
  const Family family = plan.range.family();
  const std::string what = absl::StrCat("masquerade ", plan.subnet.ToString());
  nft::AddRule(batch, family, table, kChain, what, [&] {
    nft::LoadSource(batch, family);
    nft::MatchPrefix(batch, plan.subnet);
    nft::LoadDestination(batch, family);
    nft::MatchPrefix(batch, plan.subnet, false);
    for (const IpPrefix& exception : exceptions) {
      if (exception.family() != family) continue;
      nft::LoadDestination(batch, family);
      nft::MatchPrefix(batch, exception, false);
    }
    nft::Masquerade(batch);
  });
}

}  // namespace

bool NeedsRules(const SourceNat& nat) {
  return std::any_of(nat.plans.begin(), nat.plans.end(),
                     [&nat](const FamilyPlan& plan) {
                       return nat.masquerade || (plan.services && plan.node);
                     });
}

absl::Status ReplaceSourceNat(NetlinkSocket& netfilter,
                              const std::string& table, const SourceNat& nat) {
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    nft::DeleteTable(batch, family, table);
  }
  for (const FamilyPlan& plan : nat.plans) {
    const bool services = plan.services && plan.node;
    if (!services && !nat.masquerade) continue;
    nft::AddTable(batch, plan.range.family(), table);
    nft::AddChain(batch, plan.range.family(), table, kChain);
    if (services) AddServices(batch, plan, table, nat.masquerade);
    if (nat.masquerade) AddMasquerade(batch, plan, table, nat.no_masquerade);
  }
  nft::EndTransaction(batch);
  return Annotate(netfilter.Transact(batch, 1), "nf_tables");
}

}  // namespace pinion::network
