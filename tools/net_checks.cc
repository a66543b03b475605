#include "tools/net_checks.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "os/netlink.h"

namespace pinion::tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxAddresses = 4;
// The pod says how many it has; each check is a thread.
constexpr size_t kMaxGateways = 4;
// As resolv.conf(5): more are not asked.
constexpr size_t kMaxServers = 3;
// RFC 5227 probes for longer; stations answer within a millisecond.
constexpr milliseconds kDuplicateWait(600);

bool IsV6(const std::string& address) {
  return absl::StrContains(address, ':');
}

// How the namespace of the calling thread would send there.
std::optional<Way> WayFromHere(const std::string& address) {
  auto socket = os::NetlinkSocket::Open();
  if (!socket.ok()) return std::nullopt;
  auto way = WayTo(*socket, address);
  if (!way.ok()) return std::nullopt;
  return *std::move(way);
}

void AddFullSize(const NetDevice* device, const std::string& target,
                 std::vector<NetCheck>* checks) {
  if (device == nullptr || device->mtu == 0 || device->mtu > 65535) return;
  NetCheck check;
  check.kind = NetCheck::Kind::kFullSize;
  check.target = target;
  check.packet_size = device->mtu;
  checks->push_back(check);
}

void AddGateways(const NetnsView& inside,
                 const std::vector<std::string>& node_addresses,
                 std::vector<NetCheck>* checks) {
  std::vector<std::string> seen = node_addresses;
  for (const NetRoute& route : inside.routes) {
    if (seen.size() - node_addresses.size() == kMaxGateways) break;
    if (route.destination != "default" || route.via.empty() ||
        std::find(seen.begin(), seen.end(), route.via) != seen.end()) {
      continue;
    }
    seen.push_back(route.via);
    NetCheck check;
    check.kind = NetCheck::Kind::kGateway;
    check.target = route.via;
    checks->push_back(check);
    AddFullSize(inside.Find(route.device), route.via, checks);
  }
}

void MakeCheck(const DnsQuestion& question, const std::string& device,
               steady_clock::time_point deadline, NetCheck* check) {
  check->way = WayFromHere(check->target);
  switch (check->kind) {
    case NetCheck::Kind::kHostToPod:
    case NetCheck::Kind::kPodToHost:
    case NetCheck::Kind::kGateway:
      check->outcome = Ping(check->target, 0, deadline);
      return;
    case NetCheck::Kind::kFullSize:
      check->outcome = Ping(check->target, check->packet_size, deadline);
      return;
    case NetCheck::Kind::kDuplicate:
      check->outcome = FindDuplicate(
          device, check->target,
          std::min(deadline, steady_clock::now() + kDuplicateWait));
      return;
    case NetCheck::Kind::kDnsUdp:
      check->outcome = AskDnsOverUdp(check->target, question, deadline);
      return;
    case NetCheck::Kind::kDnsTcp:
      check->outcome = AskDnsOverTcp(check->target, question, deadline);
      return;
  }
}

// All at once, each on a thread of its own in its namespace.
void MakeChecks(int pod_netns, const DnsQuestion& question,
                const std::string& device, steady_clock::time_point deadline,
                std::vector<NetCheck>* checks) {
  std::vector<std::thread> threads;
  const auto run = [&threads](int netns, std::function<void()> work) {
    threads.emplace_back([netns, work = std::move(work)] {
      // The thread is this check's own. Its outcome stays a failure if it
      // cannot go where it should.
      (void)RunInNetns(netns, work);
    });
  };
  for (NetCheck& check : *checks) {
    const bool from_host = check.kind == NetCheck::Kind::kHostToPod;
    check.outcome.error = ETIMEDOUT;
    run(from_host ? -1 : pod_netns,
        [&, deadline] { MakeCheck(question, device, deadline, &check); });
    if (check.kind == NetCheck::Kind::kGateway) {
      run(-1, [&, deadline] {
        check.node_reaches = Ping(check.target, 0, deadline).ok;
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<std::string> NodeAddresses(const std::vector<std::string>& ips) {
  std::vector<std::string> addresses;
  for (const std::string& ip : ips) {
    const std::optional<Way> way = WayFromHere(ip);
    // ::1 while the node's own address there is still tentative.
    if (!way || way->source.empty() || way->source == "::1") continue;
    if (std::find(addresses.begin(), addresses.end(), way->source) ==
        addresses.end()) {
      addresses.push_back(way->source);
    }
  }
  return addresses;
}

// A gateway that has answered who it is need not answer echo requests; of
// what size then says nothing.
void AcceptSilentGateways(NetPicture* picture) {
  std::set<std::string> skip;
  for (NetCheck& check : picture->checks) {
    if (check.kind != NetCheck::Kind::kGateway || check.outcome.ok) continue;
    const NetNeighbour* known = picture->inside.Neighbour(check.target);
    if (known == nullptr || known->state != "REACHABLE") continue;
    check.outcome.ok = true;
    check.outcome.error = 0;
    check.outcome.answer = IsV6(check.target)
                               ? "is there, and answers no echo request"
                               : "answers ARP, and no echo request";
    skip.insert(check.target);
  }
  std::erase_if(picture->checks, [&skip](const NetCheck& check) {
    return check.kind == NetCheck::Kind::kFullSize &&
           skip.count(check.target) != 0;
  });
}

}  // namespace

const char* CheckName(NetCheck::Kind kind) {
  switch (kind) {
    case NetCheck::Kind::kHostToPod:
      return "host to pod";
    case NetCheck::Kind::kPodToHost:
      return "pod to host";
    case NetCheck::Kind::kFullSize:
      return "full packets";
    case NetCheck::Kind::kGateway:
      return "gateway";
    case NetCheck::Kind::kDuplicate:
      return "no duplicate";
    case NetCheck::Kind::kDnsUdp:
      return "DNS over UDP";
    case NetCheck::Kind::kDnsTcp:
      return "DNS over TCP";
  }
  return "";
}

const NetDevice* NetPicture::PodDevice() const {
  for (const std::string& ip : pod.ips) {
    if (const NetDevice* device = inside.WithAddress(ip)) return device;
  }
  return inside.Find(pod.interface_name);
}

const NetDevice* NetPicture::Below() const {
  const NetDevice* device = PodDevice();
  if (device == nullptr || device->link_index == 0 || !device->link_elsewhere) {
    return nullptr;
  }
  return host.FindIndex(device->link_index);
}

std::vector<NetCheck> PlanChecks(
    const PodOnNetwork& pod, const NetnsView& inside,
    const std::vector<std::string>& node_addresses) {
  std::vector<NetCheck> checks;
  const auto add = [&checks](NetCheck::Kind kind, const std::string& target) {
    checks.emplace_back().kind = kind;
    checks.back().target = target;
  };
  if (!pod.host_network) {
    const size_t count = std::min(pod.ips.size(), kMaxAddresses);
    for (size_t i = 0; i < count; ++i) {
      add(NetCheck::Kind::kHostToPod, pod.ips[i]);
      const NetDevice* device = inside.WithAddress(pod.ips[i]);
      // Pinion's bridge lets no probe of its pods' through, and needs none:
      // their addresses are of one pool.
      if (device != nullptr && device->arp && !IsV6(pod.ips[i]) &&
          pod.mode != "bridge") {
        add(NetCheck::Kind::kDuplicate, pod.ips[i]);
      }
    }
    for (const std::string& address : node_addresses) {
      add(NetCheck::Kind::kPodToHost, address);
      if (!pod.ips.empty()) {
        AddFullSize(inside.WithAddress(pod.ips[0]), address, &checks);
      }
    }
    if (!pod.ips.empty()) AddGateways(inside, node_addresses, &checks);
  }
  // With loopback only there is no way to a server.
  if (pod.ips.empty() && !pod.host_network) return checks;
  const size_t servers = std::min(pod.dns_servers.size(), kMaxServers);
  for (size_t i = 0; i < servers; ++i) {
    add(NetCheck::Kind::kDnsUdp, pod.dns_servers[i]);
    add(NetCheck::Kind::kDnsTcp, pod.dns_servers[i]);
  }
  return checks;
}

absl::StatusOr<NetPicture> CheckNetwork(const PodOnNetwork& pod,
                                        const std::string& question,
                                        milliseconds limit) {
  const auto deadline = steady_clock::now() + limit;
  NetPicture picture;
  picture.pod = pod;
  PINION_ASSIGN_OR_RETURN(picture.host, ReadNetns(-1));
  const uint64_t host_drops = picture.host.reverse_path_drops;
  if (!pod.ready) return picture;
  os::UniqueFd netns;
  if (!pod.host_network) {
    PINION_ASSIGN_OR_RETURN(netns,
                            os::OpenAt(AT_FDCWD, pod.netns_path, O_RDONLY));
  }
  PINION_ASSIGN_OR_RETURN(picture.inside, ReadNetns(netns.get()));
  const uint64_t pod_drops = picture.inside.reverse_path_drops;
  picture.checks = PlanChecks(pod, picture.inside, NodeAddresses(pod.ips));
  const NetDevice* device = picture.PodDevice();
  DnsQuestion asked = QuestionFor(pod.dns_searches);
  if (!question.empty()) asked = {question, kDnsTypeA};
  picture.question = asked.name;
  MakeChecks(netns.get(), asked, device == nullptr ? "" : device->name,
             deadline, &picture.checks);
  // As it is now: who was found, and who was not.
  PINION_ASSIGN_OR_RETURN(picture.host, ReadNetns(-1));
  PINION_ASSIGN_OR_RETURN(picture.inside, ReadNetns(netns.get()));
  picture.host_reverse_path_drops =
      picture.host.reverse_path_drops - host_drops;
  picture.pod_reverse_path_drops =
      picture.inside.reverse_path_drops - pod_drops;
  AcceptSilentGateways(&picture);
  return picture;
}

}  // namespace pinion::tools
