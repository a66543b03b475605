#include "network/ipvlan_kind.h"

#include <errno.h>
#include <linux/if_link.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/host_link.h"
#include "network/parent.h"
#include "network/router_advertisements.h"
#include "network/rp_filter.h"
#include "network/sysctl_name.h"

namespace pinion::network {
namespace {

using ipam::Family;
using os::NetlinkBatch;
using os::NetlinkSocket;

const char* ModeName(int mode) {
  switch (mode) {
    case IPVLAN_MODE_L2:
      return "l2";
    case IPVLAN_MODE_L3:
      return "l3";
    case IPVLAN_MODE_L3S:
      return "l3s";
    default:
      return "of a mode unknown";
  }
}

// What the kernel's answer means here.
absl::Status Explain(const absl::Status& status, const Link& parent) {
  const std::string text(status.message());
  switch (os::NetlinkErrno(status)) {
    case EOPNOTSUPP:
      return absl::FailedPreconditionError(absl::StrCat(
          text,
          ": this kernel has no ipvlan (CONFIG_IPVLAN, modprobe ipvlan); "
          "set network.mode = \"macvlan\" or \"bridge\""));
    case EBUSY:
      return absl::FailedPreconditionError(absl::StrCat(
          text, ": ", parent.name,
          " carries macvlans already, or is a port of a bridge or bond: ipvlan "
          "must have a parent to itself; remove them (drain the node of pods "
          "of another network.mode), or name another network.parent"));
    case EINVAL:
      return absl::FailedPreconditionError(
          absl::StrCat(text, ": ", parent.name,
                       " is no Ethernet device, or this kernel has "
                       "no ipvlan of this network.ipvlan_mode"));
    default:
      return status;
  }
}

absl::StatusOr<Link> Create(NetlinkSocket& host, const std::string& name,
                            const Link& parent, IpvlanMode mode) {
  NetlinkBatch batch;
  AppendIpvlan(batch,
               {.name = name, .parent_index = parent.index, .mode = mode});
  PINION_RETURN_IF_ERROR(Explain(host.Transact(batch), parent));
  Log(LogLevel::kInfo, "made the host link",
      {{"device", name},
       {"parent", parent.name},
       {"mode", ModeName(KernelMode(mode))}});
  return FindLink(host, name);
}

}  // namespace

std::string IpvlanKind::ParentName() const {
  return network::ParentName(options_);
}

absl::StatusOr<Link> IpvlanKind::EnsureParent(NetlinkSocket& host) const {
  return network::EnsureParent(host, options_);
}

bool IpvlanKind::Works(const Link& parent) const {
  return parent.up && parent.carrier;
}

absl::StatusOr<std::vector<FamilyPlan>> IpvlanKind::Plan(
    NetlinkSocket& host, const Link* parent,
    const std::vector<ipam::IpRange>& ranges,
    const std::vector<ipam::IpAddress>& nodes) const {
  std::vector<LinkAddress> addresses;
  if (parent != nullptr) {
    PINION_ASSIGN_OR_RETURN(addresses, ListAddresses(host, parent->index));
  }
  if (l3s()) {
    for (const LinkAddress& address : addresses) {
      const ipam::IpRange on_link(
          ipam::IpPrefix::Around(address.address, address.prefix_length));
      for (const ipam::IpRange& range : ranges) {
        if (!Overlap(on_link, range)) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            "network.range: ", range.name(), " is of ", parent->name,
            "'s own subnet ", on_link.name(),
            ", where nobody answers for pods in ipvlan mode l3s: give pods a "
            "range that the network outside routes to this node, or set "
            "network.ipvlan_mode = \"l2\""));
      }
    }
  }
  return PlanAddresses(WithNodes(options_, nodes), ranges, addresses);
}

// The kernel would change the mode of every ipvlan on the parent with ours.
absl::Status IpvlanKind::CheckUpperLinks(NetlinkSocket& host,
                                         const Link& parent) const {
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(host));
  for (const Link& link : links) {
    if (link.lower != StandsOn(parent, "ipvlan") || link.kind != "ipvlan" ||
        link.name == options_.host_link_name ||
        link.ipvlan_mode == KernelMode(options_.ipvlan_mode)) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "the device ", link.name, " on ", parent.name, " is an ipvlan in mode ",
        ModeName(link.ipvlan_mode),
        ", and the mode belongs to the whole parent: set "
        "network.ipvlan_mode to it, or name another network.parent"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Link> IpvlanKind::EnsureLink(NetlinkSocket& host,
                                            const Link& parent) const {
  const std::string& name = options_.host_link_name;
  const int mode = KernelMode(options_.ipvlan_mode);
  absl::StatusOr<Link> link = FindLink(host, name);
  if (link.ok() && !IsOwn(*link)) {
    return absl::AlreadyExistsError(
        absl::StrCat("the device ", name,
                     " exists and is not pinion's; choose another "
                     "network.host_link_name"));
  }
  if (link.ok()) {
    PINION_ASSIGN_OR_RETURN(const bool placed,
                            IsPlaced(*link, parent, "ipvlan", misplaced_));
    if (!placed) {
      NetlinkBatch batch;
      AppendLinkDeletion(batch, link->index, name);
      PINION_RETURN_IF_ERROR(host.Transact(batch));
      link = absl::NotFoundError("");
    }
  }
  if (link.ok() && link->ipvlan_mode == mode) return link;
  PINION_RETURN_IF_ERROR(CheckUpperLinks(host, parent));
  if (absl::IsNotFound(link.status())) {
    PINION_ASSIGN_OR_RETURN(Link made,
                            Create(host, name, parent, options_.ipvlan_mode));
    PINION_RETURN_IF_ERROR(CheckPlace(made, parent, "ipvlan", misplaced_));
    return made;
  }
  PINION_RETURN_IF_ERROR(link.status());
  Log(LogLevel::kWarning, "changed the mode of all ipvlans on the parent",
      {{"parent", parent.name},
       {"from", ModeName(link->ipvlan_mode)},
       {"to", ModeName(mode)}});
  NetlinkBatch batch;
  AppendIpvlanMode(batch, link->index, name, options_.ipvlan_mode);
  PINION_RETURN_IF_ERROR(Explain(host.Transact(batch), parent));
  return FindLink(host, name);
}

absl::StatusOr<Link> IpvlanKind::EnsureNodeLink(
    NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  PINION_ASSIGN_OR_RETURN(const Link link, EnsureLink(host, parent));
  PINION_RETURN_IF_ERROR(RefuseRouters(host, link));
  NetlinkBatch batch;
  // What neighbours send to its address arrives here, though the way to them is
  // the parent's. Not only when it is made: `sysctl --system` may come later.
  PINION_ASSIGN_OR_RETURN(const uint32_t filter, GetRpFilter(host, link.index));
  if (link.alias != kOwnAlias || filter == kStrictRpFilter) {
    AppendIpv4Setting(batch, link.index, link.name, Ipv4Setting::kRpFilter,
                      kLooseRpFilter);
  }
  if (link.alias != kOwnAlias || !link.up || !link.noarp) {
    AppendNoIpv6LinkLocal(batch, link.index, link.name, link.mtu);
    AppendAlias(batch, link.index, link.name, kOwnAlias);
    AppendLinkUp(batch, link.index, link.name);
    // Not at once: an ipvlan in mode l2 that is set up loses it.
    AppendSilentLinkUp(batch, link.index, link.name);
  }
  if (parent.alias == kOwnAlias) {
    AppendIpv4Setting(batch, parent.index, parent.name, Ipv4Setting::kRpFilter,
                      kNoRpFilter);
  }
  PINION_RETURN_IF_ERROR(AppendNodeAddresses(host, link, parent, plans, batch));
  PINION_RETURN_IF_ERROR(host.Transact(batch));
  return FindLink(host, link.name);
}

// With ARP it asks in vain who has a pod's address.
bool IpvlanKind::NodeLinkStands(const Link& link) const {
  return link.up && link.noarp &&
         link.ipvlan_mode == KernelMode(options_.ipvlan_mode);
}

absl::StatusOr<Readiness> IpvlanKind::CheckNode(
    NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  const bool v4 =
      std::any_of(plans.begin(), plans.end(), [](const FamilyPlan& plan) {
        return plan.range.family() == Family::kIpv4;
      });
  if (l3s() || !v4) return Readiness{true, "", ""};
  PINION_ASSIGN_OR_RETURN(const uint32_t filter,
                          GetRpFilter(host, parent.index));
  if (filter == kNoRpFilter) return Readiness{true, "", ""};
  const std::string setting = Ipv4SettingName(parent.name, "rp_filter");
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses,
                          ListAddresses(host, parent.index));
  const bool has_address = std::any_of(
      addresses.begin(), addresses.end(),
      [](const LinkAddress& address) { return address.address.is_v4(); });
  if (!has_address) {
    return Readiness{
        .ready = false,
        .reason = "RpFilterStrict",
        .message = absl::StrCat(
            parent.name, " has no IPv4 address, and ", setting,
            " (or that of \"all\") is not 0: the node would drop what ipvlan "
            "pods send to services and through it; give it an address, or run "
            "sysctl -w net.ipv4.conf.all.rp_filter=0 ",
            setting, "=0, and write both to a file in /etc/sysctl.d")};
  }
  if (filter != kStrictRpFilter) return Readiness{true, "", ""};
  return Readiness{
      .ready = false,
      .reason = "RpFilterStrict",
      .message = absl::StrCat(
          setting,
          " (or that of \"all\") is 1: the node would drop what ipvlan "
          "pods send to services and to its own addresses; run "
          "sysctl -w ",
          setting, "=2, and write it to a file in /etc/sysctl.d")};
}

uint32_t IpvlanKind::NodeGroups() const { return kRpFilterGroups; }

bool IpvlanKind::ConcernsNode(const os::NetlinkMessage& message,
                              const Link& parent, int node_link) const {
  return IsRpFilterChange(message, parent.index) ||
         IsRpFilterChange(message, node_link);
}

// Pods' requests for these go out on the wire and to other ipvlans, but not to
// the parent. In mode l3s there are none: the host routes.
absl::StatusOr<std::vector<ipam::IpAddress>> IpvlanKind::NodeAliases(
    NetlinkSocket& host, const Link& parent) const {
  std::vector<ipam::IpAddress> aliases;
  std::vector<ipam::IpAddress> later;
  if (l3s()) return aliases;
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses,
                          ListAddresses(host, parent.index));
  for (const LinkAddress& address : addresses) {
    if (!address.global) continue;
    // The main ones first (SourceNatFor).
    std::vector<ipam::IpAddress>& list = address.secondary ? later : aliases;
    list.push_back(address.address);
  }
  aliases.insert(aliases.end(), later.begin(), later.end());
  return aliases;
}

// What goes on to a backend elsewhere needs an address that is answered for
// there: nobody does for the host link's.
SourceNat IpvlanKind::SourceNatFor(
    const std::vector<FamilyPlan>& plans,
    const std::vector<ipam::IpAddress>& aliases) const {
  SourceNat nat{.plans = plans};
  for (FamilyPlan& plan : nat.plans) {
    for (const ipam::IpAddress& alias : aliases) {
      if (!plan.node || alias.family() != plan.node->family()) continue;
      plan.node = alias;
      break;
    }
  }
  return nat;
}

PodLinkSpec IpvlanKind::PodLinkFor(const Link& parent,
                                   const ipam::IpAddress& address) const {
  (void)address;
  PodLinkSpec spec{.kind = PodLinkSpec::Kind::kIpvlan,
                   .name = options_.interface_name,
                   .parent_index = parent.index,
                   .mac = parent.mac};
  // Otherwise the kernel takes the parent's.
  if (options_.mtu < parent.mtu) spec.mtu = options_.mtu;
  spec.parent_mtu = parent.mtu;
  spec.ipvlan_mode = options_.ipvlan_mode;
  return spec;
}

// Nobody but pinion is on the automatic parent.
bool IpvlanKind::HasNeighbours() const {
  return options_.parent != kAutoParent && !l3s();
}

}  // namespace pinion::network
