#include "network/host_ports.h"

#include <fcntl.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/nf_tables.h"
#include "network/pod_range.h"
#include "network/rtnl.h"
#include "network/tracked_flows.h"
#include "os/file.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpAddress;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkSocket;

// Before connection tracking turns answers' addresses back.
constexpr nft::Chain kGuard = {"guard", "filter", NF_INET_PRE_ROUTING,
                               nft::kBeforeTracking};
constexpr nft::Chain kFromOutside = {"prerouting", "nat", NF_INET_PRE_ROUTING,
                                     nft::kNatDestination};
constexpr nft::Chain kFromNode = {"output", "nat", NF_INET_LOCAL_OUT,
                                  nft::kNatDestination};
constexpr nft::Chain kSource = {"postrouting", "nat", NF_INET_POST_ROUTING,
                                nft::kNatSource};

uint8_t IpProtocol(HostPort::Protocol protocol) {
  switch (protocol) {
    case HostPort::Protocol::kUdp:
      return IPPROTO_UDP;
    case HostPort::Protocol::kSctp:
      return IPPROTO_SCTP;
    default:
      return IPPROTO_TCP;
  }
}

// Nothing and 0.0.0.0 or :: are all of the node's addresses.
absl::StatusOr<std::optional<IpAddress>> HostAddress(const HostPort& port) {
  if (port.host_ip.empty()) return std::nullopt;
  PINION_ASSIGN_OR_RETURN(const IpAddress address,
                          IpAddress::Parse(port.host_ip));
  const std::array<uint8_t, 16> bytes = address.Bytes();
  if (std::all_of(bytes.begin(), bytes.end(),
                  [](uint8_t b) { return b == 0; })) {
    return std::nullopt;
  }
  return address;
}

bool Overlap(const HostPort& a, const HostPort& b) {
  if (a.protocol != b.protocol || a.host_port != b.host_port) return false;
  const auto one = HostAddress(a);
  const auto other = HostAddress(b);
  return !one.ok() || !other.ok() || !*one || !*other || **one == **other;
}

std::string Describe(const HostPort& port) {
  return absl::StrCat(port.host_ip.empty() ? "" : port.host_ip + " ", "port ",
                      port.host_port);
}

// One mapping in one family.
struct Mapping {
  HostPort port;
  std::optional<IpAddress> host;
  IpAddress pod;
};

void AddDestination(NetlinkBatch& batch, const std::string& table,
                    const nft::Chain& chain, const Mapping& mapping) {
  const Family family = mapping.pod.family();
  const uint8_t protocol = IpProtocol(mapping.port.protocol);
  nft::AddRule(batch, family, table, chain, Describe(mapping.port), [&] {
    if (mapping.host) {
      nft::LoadDestination(batch, family);
      nft::MatchAddress(batch, *mapping.host);
    } else {
      nft::MatchLocalDestination(batch);
    }
    nft::LoadMeta(batch, NFT_META_L4PROTO);
    nft::MatchBytes(batch, &protocol, sizeof(protocol));
    nft::LoadDestinationPort(batch);
    nft::MatchPort(batch, mapping.port.host_port);
    nft::Translate(batch, NFT_NAT_DNAT, mapping.pod,
                   mapping.port.container_port);
  });
}

// Only what these rules lead there: not what came to the pod's own address,
// nor through a service.
void AddSource(NetlinkBatch& batch, const std::string& table,
               const Mapping& mapping, const FamilyPlan& plan) {
  const Family family = mapping.pod.family();
  const uint8_t protocol = IpProtocol(mapping.port.protocol);
  nft::AddRule(batch, family, table, kSource, Describe(mapping.port), [&] {
    nft::MatchTranslated(batch);
    nft::LoadDestination(batch, family);
    nft::MatchAddress(batch, mapping.pod);
    nft::LoadMeta(batch, NFT_META_L4PROTO);
    nft::MatchBytes(batch, &protocol, sizeof(protocol));
    nft::LoadDestinationPort(batch);
    nft::MatchPort(batch, mapping.port.container_port);
    nft::LoadOriginal(batch, NFT_CT_PROTO_DST);
    nft::MatchPort(batch, mapping.port.host_port);
    if (plan.services) {
      nft::LoadOriginal(
          batch, family == Family::kIpv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6);
      nft::MatchPrefix(batch, *plan.services, false);
    }
    nft::Translate(batch, NFT_NAT_SNAT, *plan.node);
  });
}

// iifname LINK ip daddr 127.0.0.0/8 drop
// iifname LINK ip saddr 127.0.0.0/8 drop
//
// route_localnet lets both pass (ip_route_input_slow): without rp_filter a pod
// would seem to be the node itself to whoever trusts 127/8.
void AddGuard(NetlinkBatch& batch, const std::string& table,
              const std::string& link) {
  nft::AddChain(batch, Family::kIpv4, table, kGuard);
  const IpPrefix loopback = IpPrefix::Around(*IpAddress::Parse("127.0.0.0"), 8);
  for (const auto load : {nft::LoadDestination, nft::LoadSource}) {
    nft::AddRule(batch, Family::kIpv4, table, kGuard, "against loopback", [&] {
      nft::MatchIncomingLink(batch, link);
      load(batch, Family::kIpv4);
      nft::MatchPrefix(batch, loopback);
      nft::Verdict(batch, NF_DROP);
    });
  }
}

absl::StatusOr<std::vector<Mapping>> MappingsOf(const HostPortTable& table,
                                                Family family) {
  std::vector<Mapping> mappings;
  for (const auto& [pod_id, pod] : table) {
    for (const IpAddress& address : pod.addresses) {
      if (address.family() != family) continue;
      for (const HostPort& port : pod.ports) {
        PINION_ASSIGN_OR_RETURN(const std::optional<IpAddress> host,
                                HostAddress(port));
        if (host && host->family() != family) continue;
        mappings.push_back({port, host, address});
      }
    }
  }
  return mappings;
}

std::set<uint16_t> UdpPorts(const HostPorts& pod) {
  std::set<uint16_t> ports;
  for (const HostPort& port : pod.ports) {
    if (port.protocol == HostPort::Protocol::kUdp) ports.insert(port.host_port);
  }
  return ports;
}

}  // namespace

std::string HostPortsTable(const std::string& link) {
  return absl::StrCat(link, "-ports");
}

absl::Status CheckHostPorts(const HostPortTable& table,
                            const std::string& pod_id,
                            const std::vector<HostPort>& ports) {
  for (size_t i = 0; i < ports.size(); ++i) {
    const HostPort& port = ports[i];
    PINION_ASSIGN_OR_RETURN_AS(const std::optional<IpAddress> host,
                               HostAddress(port), "host address");
    if (host) {
      PINION_RETURN_IF_ERROR_AS(CheckNodeAddress(*host), "host_ip");
    }
    for (size_t j = 0; j < i; ++j) {
      if (!Overlap(port, ports[j])) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("host ", Describe(port), " is asked for twice"));
    }
    for (const auto& [other_id, other] : table) {
      if (other_id == pod_id) continue;
      for (const HostPort& taken : other.ports) {
        if (!Overlap(port, taken)) continue;
        return absl::AlreadyExistsError(
            absl::StrCat("host ", Describe(port), " leads to pod sandbox ",
                         ShortId(other_id), " already"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckReachable(const std::vector<HostPort>& ports,
                            const std::vector<FamilyPlan>& plans) {
  for (const HostPort& port : ports) {
    PINION_ASSIGN_OR_RETURN(const std::optional<IpAddress> host,
                            HostAddress(port));
    const bool leads = std::any_of(
        plans.begin(), plans.end(), [&host](const FamilyPlan& plan) {
          return plan.node && (!host || host->family() == plan.range.family());
        });
    if (leads) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("host ", Describe(port),
                     " would lead nowhere: pods on this node have no address "
                     "of that family; see network.range"));
  }
  return absl::OkStatus();
}

absl::Status ReplaceHostPorts(NetlinkSocket& netfilter, const std::string& link,
                              const std::vector<FamilyPlan>& plans,
                              const HostPortTable& table) {
  const std::string name = HostPortsTable(link);
  NetlinkBatch batch;
  nft::BeginTransaction(batch);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    nft::DeleteTable(batch, family, name);
  }
  for (const FamilyPlan& plan : plans) {
    const Family family = plan.range.family();
    PINION_ASSIGN_OR_RETURN(const std::vector<Mapping> mappings,
                            MappingsOf(table, family));
    if (mappings.empty() || !plan.node) continue;
    nft::AddTable(batch, family, name);
    if (family == Family::kIpv4) AddGuard(batch, name, link);
    for (const nft::Chain& chain : {kFromOutside, kFromNode, kSource}) {
      nft::AddChain(batch, family, name, chain);
    }
    for (const Mapping& mapping : mappings) {
      AddDestination(batch, name, kFromOutside, mapping);
      AddDestination(batch, name, kFromNode, mapping);
      AddSource(batch, name, mapping, plan);
    }
  }
  nft::EndTransaction(batch);
  return Annotate(netfilter.Transact(batch, 1), "nf_tables");
}

absl::Status InstallHostPorts(NetlinkSocket& host, NetlinkSocket& netfilter,
                              const std::string& link,
                              const std::vector<FamilyPlan>& plans,
                              const HostPortTable& table) {
  const auto device = FindLink(host, link);
  // Without it the rules can still be taken away; its setting went with it.
  if (!device.ok() && !absl::IsNotFound(device.status())) {
    return device.status();
  }
  const auto route_localnet = [&](uint32_t value) {
    if (!device.ok()) return absl::OkStatus();
    NetlinkBatch batch;
    AppendIpv4Setting(batch, device->index, link, Ipv4Setting::kRouteLocalnet,
                      value);
    return host.Transact(batch);
  };
  if (table.empty()) PINION_RETURN_IF_ERROR(route_localnet(0));
  PINION_RETURN_IF_ERROR_AS(ReplaceHostPorts(netfilter, link, plans, table),
                            "host ports");
  return table.empty() ? absl::OkStatus() : route_localnet(1);
}

void WarnWithoutForwarding() {
  const auto forwards =
      os::ReadFileAt(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16);
  if (!forwards.ok() || *forwards != "0\n") return;
  Log(LogLevel::kWarning,
      "host ports are reached from this node only: net.ipv4.ip_forward is 0");
}

absl::Status EndFlowsBeforePorts(NetlinkSocket& netfilter,
                                 const HostPorts& pod) {
  const std::set<uint16_t> ports = UdpPorts(pod);
  absl::Status result;
  if (ports.empty()) return result;
  for (const IpAddress& address : pod.addresses) {
    result.Update(EndUntranslatedFlows(netfilter, address.family(), ports));
  }
  return result;
}

absl::Status EndFlowsOfPorts(NetlinkSocket& netfilter, const HostPorts& pod) {
  absl::Status result;
  if (UdpPorts(pod).empty()) return result;
  for (const IpAddress& address : pod.addresses) {
    result.Update(EndFlowsTo(netfilter, address));
  }
  return result;
}

}  // namespace pinion::network
