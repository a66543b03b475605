#include "network/bridge_kind.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/forwarding.h"
#include "network/host_link.h"
#include "network/mac.h"
#include "network/parent.h"
#include "network/router_advertisements.h"

namespace pinion::network {
namespace {

using os::NetlinkBatch;
using os::NetlinkSocket;

// What devices have that nobody tells another.
constexpr uint32_t kUsualMtu = 1500;

uint32_t MtuFor(const Link& way_out) {
  return std::clamp(way_out.mtu, kLeastIpv6Mtu, kUsualMtu);
}

// What leaves the node in one piece. Otherwise it is left to "fragmentation
// needed", which not everybody answers or lets through. While there is no way
// out it stays as it was: that is a moment only, and pods live longer.
absl::StatusOr<uint32_t> MtuOutwards(NetlinkSocket& host, const Link& bridge) {
  PINION_ASSIGN_OR_RETURN(const std::optional<Link> way_out, FindWayOut(host));
  if (!way_out || way_out->index == bridge.index) return bridge.mtu;
  return MtuFor(*way_out);
}

// A bridge drops without a word what is larger than the port it goes to; a
// device that packets are routed to says so to the sender. So it has no more
// than any pod.
absl::StatusOr<uint32_t> AtMostThePorts(NetlinkSocket& host, const Link& bridge,
                                        uint32_t mtu) {
  if (mtu <= bridge.mtu) return mtu;
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> ports,
                          ListPorts(host, bridge.index));
  for (const Link& port : ports) mtu = std::min(mtu, port.mtu);
  return mtu;
}

// Pinion's own, up, with this MTU.
absl::Status SetUp(NetlinkSocket& host, const Link& bridge, uint32_t mtu) {
  PINION_RETURN_IF_ERROR(RefuseRouters(host, bridge));
  NetlinkBatch batch;
  if (bridge.alias != kOwnAlias || !bridge.up) {
    AppendNoIpv6LinkLocal(batch, bridge.index, bridge.name, bridge.mtu);
    AppendAlias(batch, bridge.index, bridge.name, kOwnAlias);
    AppendLinkUp(batch, bridge.index, bridge.name);
  }
  // From then on the kernel leaves it alone (BROPT_MTU_SET_BY_USER) and does
  // not take the least of the ports'.
  if (bridge.mtu != mtu) AppendMtu(batch, bridge.index, bridge.name, mtu);
  return host.Transact(batch);
}

}  // namespace

std::string BridgeKind::ParentName() const { return options_.bridge_name; }

absl::StatusOr<Link> BridgeKind::EnsureParent(NetlinkSocket& host) const {
  const std::string& name = options_.bridge_name;
  absl::StatusOr<Link> bridge = FindLink(host, name);
  if (absl::IsNotFound(bridge.status())) {
    NetlinkBatch batch;
    AppendSimpleLink(batch, name, "bridge");
    PINION_RETURN_IF_ERROR(host.Transact(batch));
    Log(LogLevel::kInfo, "made the pods' bridge", {{"device", name}});
    bridge = FindLink(host, name);
  }
  PINION_RETURN_IF_ERROR(bridge.status());
  if (!IsOwn(*bridge) || bridge->kind != "bridge") {
    return absl::AlreadyExistsError(
        absl::StrCat("the device ", name,
                     " exists and is not pinion's; choose another "
                     "network.bridge_name"));
  }
  uint32_t mtu = options_.mtu;
  if (mtu == 0) {
    PINION_ASSIGN_OR_RETURN(mtu, MtuOutwards(host, *bridge));
  }
  PINION_ASSIGN_OR_RETURN(mtu, AtMostThePorts(host, *bridge, mtu));
  PINION_RETURN_IF_ERROR(SetUp(host, *bridge, mtu));
  return FindLink(host, name);
}

bool BridgeKind::Works(const Link& parent) const { return parent.up; }

absl::StatusOr<std::vector<FamilyPlan>> BridgeKind::Plan(
    NetlinkSocket& host, const Link* parent,
    const std::vector<ipam::IpRange>& ranges,
    const std::vector<ipam::IpAddress>& nodes) const {
  (void)host;
  (void)parent;
  // It has no address but those that the plans give it.
  return PlanAddresses(WithNodes(options_, nodes), ranges, {});
}

absl::StatusOr<Link> BridgeKind::EnsureNodeLink(
    NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  NetlinkBatch batch;
  // A bridge whose MAC nobody sets takes its least port's, and another one
  // with every pod that comes or goes.
  const MacAddress mac = HostLinkMac(plans);
  if (parent.mac != mac) AppendMac(batch, parent.index, parent.name, mac);
  // Whoever turns net.ipv4.ip_forward off takes it from all devices.
  PINION_ASSIGN_OR_RETURN(const Forwarding forwarding, GetForwarding(host));
  if (!forwarding.Forwards(parent.index)) {
    AppendIpv4Setting(batch, parent.index, parent.name,
                      Ipv4Setting::kForwarding, 1);
  }
  PINION_RETURN_IF_ERROR(
      AppendNodeAddresses(host, parent, parent, plans, batch));
  PINION_RETURN_IF_ERROR(host.Transact(batch));
  return FindLink(host, parent.name);
}

absl::StatusOr<Readiness> BridgeKind::CheckNode(
    NetlinkSocket& host, const Link& parent,
    const std::vector<FamilyPlan>& plans) const {
  return CheckForwarding(host, parent, plans);
}

SourceNat BridgeKind::SourceNatFor(
    const std::vector<FamilyPlan>& plans,
    const std::vector<ipam::IpAddress>& aliases) const {
  (void)aliases;
  SourceNat nat{.plans = plans, .masquerade = true};
  for (const std::string& text : options_.no_masquerade) {
    // Checked by CheckOptions.
    const auto prefixes = ipam::ParsePrefixPerFamily(text);
    if (!prefixes.ok()) continue;
    nat.no_masquerade.insert(nat.no_masquerade.end(), prefixes->begin(),
                             prefixes->end());
  }
  return nat;
}

PodLinkSpec BridgeKind::PodLinkFor(const Link& parent,
                                   const ipam::IpAddress& address) const {
  return {.kind = PodLinkSpec::Kind::kVeth,
          .name = options_.interface_name,
          .parent_index = parent.index,
          .mac = MacFor(address),
          .mtu = options_.mtu != 0 ? options_.mtu : parent.mtu};
}

uint32_t BridgeKind::NodeGroups() const { return kForwardingGroups; }

bool BridgeKind::ConcernsNode(const os::NetlinkMessage& message,
                              const Link& parent, int node_link) const {
  (void)node_link;
  if (IsForwardingChange(message)) return true;
  // It may be the way out: that there is another MTU is rare, and looking
  // again is cheap. Pinion's own never is, and is told of when its daemon
  // looks again: two with different MTUs would never come to rest.
  const std::optional<Link> link = ParseLink(message);
  return link && message.type() == RTM_NEWLINK && options_.mtu == 0 &&
         link->index != parent.index && link->master_index == 0 && link->up &&
         link->alias != kOwnAlias && MtuFor(*link) != parent.mtu;
}

bool BridgeKind::HasPorts() const { return true; }

bool BridgeKind::HasNeighbours() const { return false; }

absl::Status RemoveBridge(NetlinkSocket& host, const std::string& name) {
  const absl::StatusOr<Link> bridge = FindLink(host, name);
  if (bridge.ok() && bridge->alias == kOwnAlias) {
    PINION_ASSIGN_OR_RETURN(const std::vector<Link> ports,
                            ListPorts(host, bridge->index));
    for (const Link& port : ports) {
      // What somebody else has plugged in stays.
      if (port.alias != kOwnAlias) continue;
      PINION_RETURN_IF_ERROR(RemoveOwnLink(host, port.name));
    }
  }
  return RemoveOwnLink(host, name);
}

}  // namespace pinion::network
