#include "tools/net_causes.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ipam/ip_address.h"
#include "os/error.h"

namespace pinion::tools {
namespace {

using Kind = NetCheck::Kind;

struct Cause {
  std::string cause;
  std::string remedy;
};
using MaybeCause = std::optional<Cause>;

// One check that failed, and what there is to know about it.
struct Case {
  const NetCheck& check;
  const NetPicture& picture;

  const PodOnNetwork& pod() const { return picture.pod; }
  const NetnsView& host() const { return picture.host; }
  const NetnsView& inside() const { return picture.inside; }
  bool from_pod() const { return check.kind != Kind::kHostToPod; }
  // Only the two ends take part.
  bool with_host() const {
    return check.kind == Kind::kHostToPod || check.kind == Kind::kPodToHost ||
           (check.kind == Kind::kFullSize &&
            host().WithAddress(check.target) != nullptr);
  }
  bool is_dns() const {
    return check.kind == Kind::kDnsUdp || check.kind == Kind::kDnsTcp;
  }
  bool v6() const { return absl::StrContains(check.target, ':'); }
  bool stands_on_parent() const {
    const NetDevice* device = picture.PodDevice();
    return device != nullptr &&
           (device->kind == "macvlan" || device->kind == "ipvlan");
  }
  // The way goes through the node itself, which must forward.
  bool forwarded() const {
    return !with_host() && check.way && check.way->next_hop != check.target &&
           host().WithAddress(check.way->next_hop) != nullptr;
  }
};

std::string Inside(const Case& c, const std::string& command) {
  return absl::StrCat("nsenter --net=", c.pod().netns_path, " ", command);
}

bool Resolved(const NetNeighbour* neighbour) {
  return neighbour != nullptr && !neighbour->mac.empty() &&
         neighbour->state != "FAILED" && neighbour->state != "INCOMPLETE";
}

// Whether a check of this kind and target was made, and went well.
bool Works(const Case& c, Kind kind, const std::string& target = "") {
  return std::any_of(c.picture.checks.begin(), c.picture.checks.end(),
                     [&](const NetCheck& check) {
                       return check.kind == kind && check.outcome.ok &&
                              (target.empty() || check.target == target);
                     });
}

MaybeCause DuplicateAddress(const Case& c) {
  if (c.check.kind != Kind::kDuplicate || c.check.outcome.error != 0 ||
      c.check.outcome.answer.empty()) {
    return std::nullopt;
  }
  return Cause{absl::StrCat("duplicate address: ", c.check.outcome.answer,
                            " says that it has ", c.check.target, ", too"),
               "find that machine by its MAC, and keep its addresses out of "
               "the range (network.exclude)"};
}

MaybeCause DeviceGone(const Case& c) {
  if (c.pod().host_network) return std::nullopt;
  const NetDevice* device = c.picture.PodDevice();
  if (device == nullptr) {
    return Cause{absl::StrCat("the pod has no device ", c.pod().interface_name),
                 "something has removed it: delete the pod, it comes back with "
                 "a new one"};
  }
  for (const std::string& ip : c.pod().ips) {
    if (c.inside().WithAddress(ip) != nullptr) continue;
    return Cause{absl::StrCat("no device of the pod has its address ", ip),
                 "something has removed it: delete the pod, it comes back with "
                 "a new one"};
  }
  if (!device->up) {
    return Cause{absl::StrCat("the pod's ", device->name, " is down"),
                 Inside(c, absl::StrCat("ip link set ", device->name, " up"))};
  }
  return std::nullopt;
}

MaybeCause ParentDown(const Case& c) {
  const NetDevice* below = c.picture.Below();
  if (below == nullptr) return std::nullopt;
  const char* what =
      c.stands_on_parent() ? "the parent " : "the node's end of the cable, ";
  if (!below->up) {
    return Cause{absl::StrCat(what, below->name, " is down"),
                 absl::StrCat("ip link set ", below->name, " up")};
  }
  if (!below->carrier) {
    return Cause{absl::StrCat(what, below->name, " has no carrier"),
                 "look at the cable, and at the port at its other end"};
  }
  const NetDevice* bridge = c.host().FindIndex(below->bridge_index);
  if (bridge != nullptr && !bridge->up) {
    return Cause{absl::StrCat("the bridge ", bridge->name, " is down"),
                 absl::StrCat("ip link set ", bridge->name, " up")};
  }
  return std::nullopt;
}

// A macvlan's node needs a device of the same kind.
MaybeCause NoHostLink(const Case& c) {
  if (!c.with_host() || c.pod().mode == "cni" || !c.stands_on_parent()) {
    return std::nullopt;
  }
  const std::string& name = c.pod().host_link_name;
  if (!c.pod().host_link) {
    return Cause{
        "no host link: network.host_link is false, so node and pods do not "
        "reach each other",
        "set network.host_link = true and restart piniond"};
  }
  const NetDevice* link = c.host().Find(name);
  if (link == nullptr) {
    return Cause{absl::StrCat("no host link: the node has no device ", name),
                 "restart piniond, which makes it; its log says if it cannot"};
  }
  if (!link->up) {
    return Cause{absl::StrCat("the host link ", name, " is down"),
                 absl::StrCat("ip link set ", name, " up")};
  }
  if (c.check.kind != Kind::kHostToPod || !c.check.way ||
      c.check.way->device == name) {
    return std::nullopt;
  }
  return Cause{
      absl::StrCat("the node sends to ", c.check.target, " over ",
                   c.check.way->device, ", not over its host link ", name),
      absl::StrCat("find the route that hides pinion's: ip route get ",
                   c.check.target)};
}

MaybeCause NoRoute(const Case& c) {
  if (c.check.way || c.check.kind == Kind::kDuplicate) return std::nullopt;
  if (!c.from_pod()) {
    return Cause{
        absl::StrCat("no route: the node has none to ", c.check.target),
        "pinion sets its own again (see its log): look at ip rule, or ask "
        "the CNI add-on"};
  }
  return Cause{
      absl::StrCat("no route: the pod has none to ", c.check.target),
      c.pod().mode == "cni"
          ? "ask the CNI add-on for a default route"
          : "network.gateway or network.node_address gives pods a default "
            "route; a pod keeps the routes it was made with"};
}

// The pod must be able to answer, too.
MaybeCause NoRouteBack(const Case& c) {
  if (c.check.kind != Kind::kHostToPod || !c.check.way) return std::nullopt;
  for (const NetCheck& other : c.picture.checks) {
    if (other.kind == Kind::kPodToHost && !other.way &&
        other.target == c.check.way->source) {
      return Cause{
          absl::StrCat("no route back: the pod has none to ", other.target),
          "a pod keeps the routes it was made with: delete it, it "
          "comes back with new ones"};
    }
  }
  return std::nullopt;
}

MaybeCause Forbidden(const Case& c) {
  if (c.check.outcome.error != EPERM && c.check.outcome.error != EACCES) {
    return std::nullopt;
  }
  return Cause{
      absl::StrCat("a packet filter of the ", c.from_pod() ? "pod" : "node",
                   " does not let the packet out"),
      c.from_pod() ? Inside(c, "nft list ruleset") : "nft list ruleset"};
}

// One end remembers another MAC than the other end has.
MaybeCause StaleNeighbour(const Case& c) {
  if (!c.with_host() || !c.check.way) return std::nullopt;
  const NetDevice* pod_device = c.picture.PodDevice();
  if (pod_device == nullptr) return std::nullopt;
  for (const std::string& ip : c.pod().ips) {
    const NetNeighbour* known = c.host().Neighbour(ip);
    if (!Resolved(known) || known->mac == pod_device->mac) continue;
    return Cause{
        absl::StrCat("stale neighbour: the node takes ", ip, " for ",
                     known->mac, ", the pod is ", pod_device->mac),
        absl::StrCat("ip neigh del ", ip, " dev ", known->device,
                     "; if it comes back, another machine has the address")};
  }
  const std::string& node = c.from_pod() ? c.check.target : c.check.way->source;
  const NetNeighbour* known = c.inside().Neighbour(node);
  // By which the node hears it: what the pod's device sees of it.
  const NetDevice* link = c.host().Find(c.pod().host_link_name);
  if (!Resolved(known) || link == nullptr || !c.stands_on_parent() ||
      c.pod().mode == "cni" || known->mac == link->mac) {
    return std::nullopt;
  }
  return Cause{
      absl::StrCat("stale neighbour: the pod takes the node ", node, " for ",
                   known->mac, ", its host link is ", link->mac),
      Inside(c, absl::StrCat("ip neigh replace ", node, " lladdr ", link->mac,
                             " dev ", known->device, " nud permanent"))};
}

MaybeCause ReversePath(const Case& c) {
  if (c.v6()) return std::nullopt;
  const uint64_t host = c.picture.host_reverse_path_drops;
  const uint64_t pod = c.picture.pod_reverse_path_drops;
  if (host == 0 && pod == 0) return std::nullopt;
  return Cause{
      absl::StrCat("rp_filter: the ", host > 0 ? "node" : "pod", " dropped ",
                   host > 0 ? host : pod,
                   " packets that came in where it would not send back"),
      host > 0 ? "look at ip route get of the pod's address, or set "
                 "net.ipv4.conf.<device>.rp_filter = 2 where they come in"
               : Inside(c, "sysctl -a -r rp_filter")};
}

bool Passes(const FilterChain& chain, const Case& c) {
  return c.v6() ? chain.ipv6 : chain.ipv4;
}

MaybeCause DroppedBy(const NetnsView& view, const Case& c,
                     const std::string& hook, const std::string& whose) {
  for (const FilterChain& chain : view.chains) {
    if (!chain.drops || chain.hook != hook || !Passes(chain, c)) continue;
    return Cause{
        absl::StrCat("the ", whose, "'s packet filter: chain ", chain.name,
                     " (", hook, ") drops what no rule accepts"),
        absl::StrCat("accept the pod's packets there: nft list chain ",
                     chain.name)};
  }
  return std::nullopt;
}

MaybeCause FilterPolicy(const Case& c) {
  MaybeCause cause;
  if (c.with_host()) {
    for (const char* hook : {"input", "output"}) {
      if (!cause) cause = DroppedBy(c.host(), c, hook, "node");
      if (!cause) cause = DroppedBy(c.inside(), c, hook, "pod");
    }
    return cause;
  }
  if (c.forwarded()) cause = DroppedBy(c.host(), c, "forward", "node");
  for (const char* hook : {"input", "output"}) {
    if (!cause) cause = DroppedBy(c.inside(), c, hook, "pod");
  }
  return cause;
}

MaybeCause NotForwarding(const Case& c) {
  if (!c.forwarded()) return std::nullopt;
  if (c.v6() ? c.host().forwards_ipv6 : c.host().forwards_ipv4) {
    return std::nullopt;
  }
  const char* name =
      c.v6() ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward";
  return Cause{absl::StrCat("the node is the way to ", c.check.target,
                            " and does not forward: ", name, " is 0"),
               absl::StrCat("sysctl -w ", name, "=1")};
}

MaybeCause SizeMismatch(const Case& c) {
  const std::string& target = c.check.target;
  if (c.check.kind != Kind::kFullSize || (!Works(c, Kind::kPodToHost, target) &&
                                          !Works(c, Kind::kGateway, target))) {
    return std::nullopt;
  }
  const NetDevice* below = c.picture.Below();
  const std::string other =
      below == nullptr || below->mtu >= c.check.packet_size
          ? ""
          : absl::StrCat("; ", below->name, " has ", below->mtu);
  return Cause{
      absl::StrCat("MTU mismatch: packets of ", c.check.packet_size,
                   " bytes, the pod's MTU, do not get to ", target, other),
      "give all on the way the same: network.mtu, the CNI "
      "configuration's mtu, or the switch's"};
}

// Nobody on the link says that it is the next hop.
MaybeCause NobodyAnswers(const Case& c) {
  if (!c.check.way || c.check.kind == Kind::kDuplicate) return std::nullopt;
  const std::string& hop = c.check.way->next_hop;
  const NetnsView& view = c.from_pod() ? c.inside() : c.host();
  const NetNeighbour* known = view.Neighbour(hop);
  if (known == nullptr || Resolved(known)) return std::nullopt;
  const std::string who =
      absl::StrCat("nobody answers for ", hop, " (neighbour ", known->state,
                   " on ", known->device, ")");
  if (!c.from_pod()) return Cause{who, "look whether the pod still has it"};
  const NetDevice* below = c.picture.Below();
  const auto gateway = std::find_if(
      c.picture.checks.begin(), c.picture.checks.end(), [&hop](const auto& k) {
        return k.kind == Kind::kGateway && k.target == hop;
      });
  // An ipvlan has the node's own.
  if (c.picture.PodDevice() != nullptr &&
      c.picture.PodDevice()->kind == "macvlan" && below != nullptr &&
      gateway != c.picture.checks.end() && gateway->node_reaches) {
    return Cause{
        absl::StrCat("the node reaches ", hop,
                     " and the pod does not: what "
                     "is behind ",
                     below->name,
                     " lets only the node's own MAC "
                     "through (a switch's port security, a virtual machine, a "
                     "cloud)"),
        "allow promiscuous mode and forged transmits there, or use "
        "network.mode = \"ipvlan\", \"bridge\" or \"cni\""};
  }
  return Cause{who, c.check.kind == Kind::kGateway
                        ? "is that the gateway's address (network.gateway), "
                          "and is it up?"
                        : absl::StrCat("is ", hop, " up, and on this link?")};
}

MaybeCause DnsOnLoopback(const Case& c) {
  if (!c.is_dns() || c.pod().host_network ||
      !(absl::StartsWith(c.check.target, "127.") || c.check.target == "::1")) {
    return std::nullopt;
  }
  return Cause{absl::StrCat("the pod's DNS server ", c.check.target,
                            " is the pod itself: a stub of the node "
                            "(systemd-resolved) is not seen from a pod"),
               "kubelet: --resolv-conf=/run/systemd/resolve/resolv.conf"};
}

MaybeCause DnsAnswers(const Case& c) {
  if (!c.is_dns()) return std::nullopt;
  const ProbeOutcome& outcome = c.check.outcome;
  const std::string& server = c.check.target;
  if (outcome.error == ECONNREFUSED) {
    return Cause{absl::StrCat("nothing listens on port 53 of ", server,
                              c.check.kind == Kind::kDnsTcp ? " (TCP)" : ""),
                 "is the DNS server running there, and on that address?"};
  }
  if (outcome.dns_code == 5) {
    return Cause{absl::StrCat("DNS answers REFUSED: ", server,
                              " does not serve this client or this name"),
                 "allow the pods' range in the server's configuration"};
  }
  if (outcome.dns_code == 2) {
    return Cause{absl::StrCat("DNS answers SERVFAIL: ", server,
                              " cannot ask its own servers"),
                 "look at that server's log and its forwarders"};
  }
  if (outcome.dns_code > 0) {
    return Cause{absl::StrCat("DNS answers ", outcome.answer),
                 "look at that server's log"};
  }
  if (!outcome.answer.empty()) {
    return Cause{absl::StrCat("no DNS: ", outcome.answer),
                 "is it a DNS server that has this address?"};
  }
  return std::nullopt;
}

MaybeCause DnsOneProtocol(const Case& c) {
  if (!c.is_dns()) return std::nullopt;
  const bool udp = c.check.kind == Kind::kDnsUdp;
  if (!Works(c, udp ? Kind::kDnsTcp : Kind::kDnsUdp, c.check.target)) {
    return std::nullopt;
  }
  return Cause{absl::StrCat(udp ? "UDP" : "TCP", " port 53 of ", c.check.target,
                            " is filtered, the other one is "
                            "not"),
               udp ? "let UDP through: every name needs it"
                   : "let TCP through: long answers need it"};
}

MaybeCause Service(const Case& c) {
  if (!c.is_dns()) return std::nullopt;
  const auto target = ipam::IpAddress::Parse(c.check.target);
  for (const std::string& text :
       std::vector<std::string>(absl::StrSplit(c.pod().service_cidr, ','))) {
    const auto prefix = ipam::IpPrefix::Parse(text);
    if (!prefix.ok() || !target.ok() || !prefix->Contains(*target)) continue;
    return Cause{absl::StrCat(c.check.target,
                              " is a service: nothing on the "
                              "node leads to a DNS server from it"),
                 "is kube-proxy running, and are the DNS pods ready?"};
  }
  return std::nullopt;
}

MaybeCause Unknown(const Case& c) {
  const int error = c.check.outcome.error;
  if (error != 0 && error != ETIMEDOUT && error != EHOSTUNREACH) {
    return Cause{absl::StrCat("the kernel says ", os::ErrnoName(error)),
                 "pinionctl doctor"};
  }
  const NetDevice* device = c.picture.PodDevice();
  const std::string name = device == nullptr ? "any" : device->name;
  if (c.forwarded()) {
    return Cause{"the node forwards, and no answer comes back",
                 absl::StrCat("does the way back lead to the pods' range, or "
                              "is there masquerade? tcpdump -ni any host ",
                              c.check.target)};
  }
  return Cause{"no answer, and nothing that explains it",
               Inside(c, absl::StrCat("tcpdump -ni ", name))};
}

// The first that knows: what is broken here before what is broken elsewhere,
// and what was seen before what is only likely.
constexpr MaybeCause (*kRules[])(const Case&) = {
    DuplicateAddress, DeviceGone,  ParentDown,    DnsOnLoopback, DnsAnswers,
    Forbidden,        NoHostLink,  NoRoute,       NoRouteBack,   StaleNeighbour,
    SizeMismatch,     ReversePath, NotForwarding, NobodyAnswers, FilterPolicy,
    DnsOneProtocol,   Service,     Unknown};

}  // namespace

void ExplainFailures(NetPicture* picture) {
  for (NetCheck& check : picture->checks) {
    if (check.outcome.ok) continue;
    for (const auto rule : kRules) {
      const MaybeCause cause = rule({check, *picture});
      if (!cause) continue;
      check.cause = cause->cause;
      check.remedy = cause->remedy;
      break;
    }
  }
}

}  // namespace pinion::tools
