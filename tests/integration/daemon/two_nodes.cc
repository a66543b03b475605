#include "tests/integration/daemon/two_nodes.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <set>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace pinion::testing {
namespace {

namespace cri = ::runtime::v1;
using std::chrono::milliseconds;
using testing_support::AddAddress;
using testing_support::Connect;
using testing_support::TestHost;

// Long enough for a second answer, which comes right behind the first.
constexpr milliseconds kListen(300);
// For the first one: as long as a test waits for anything.
constexpr std::chrono::minutes kPatience(1);

std::string Config(const std::string& nic) {
  return absl::StrCat("parent = \"", nic, "\"\n",
                      "cool_down = \"0s\"\n"
                      "service_cidr = \"10.96.0.0/12,fd00:96::/112\"\n");
}

std::string RangeOf(int number) {
  return absl::StrCat("10.9.", number, ".0/24,fd00:9::", number, ":0/112");
}

void GiveAddresses(TestHost& host, const std::string& nic,
                   const std::vector<std::string>& ips) {
  AddAddress(host, nic, ips[0] + "/16");
  AddAddress(host, nic, ips[1] + "/64");
}

// Ethernet frames that say who has an address: ARP replies (RFC 826) and
// solicited neighbour advertisements (RFC 4861, 4.4).
bool IsAnswer(const std::string& frame, const std::string& address) {
  in6_addr wanted = {};
  const bool v6 = address.find(':') != std::string::npos;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), &wanted) != 1) {
    return false;
  }
  const std::string bytes(reinterpret_cast<const char*>(&wanted), v6 ? 16 : 4);
  const auto at = [&frame](size_t i) {
    return static_cast<unsigned char>(frame[i]);
  };
  if (!v6) {
    return frame.size() >= 42 && frame.compare(12, 2, "\x08\x06") == 0 &&
           at(21) == ARPOP_REPLY && frame.compare(28, 4, bytes) == 0;
  }
  return frame.size() >= 78 && frame.compare(12, 2, "\x86\xdd") == 0 &&
         at(20) == IPPROTO_ICMPV6 && at(54) == 136 && (at(58) & 0x40) != 0 &&
         frame.compare(62, 16, bytes) == 0;
}

// Makes the kernel ask for the address's MAC.
void Ask(const std::string& address) {
  const bool v6 = address.find(':') != std::string::npos;
  const os::UniqueFd fd(
      socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage to = {};
  to.ss_family = v6 ? AF_INET6 : AF_INET;
  auto* v4_to = reinterpret_cast<sockaddr_in*>(&to);
  auto* v6_to = reinterpret_cast<sockaddr_in6*>(&to);
  v4_to->sin_port = htons(9);  // At the same place in both.
  void* const where = v6 ? static_cast<void*>(&v6_to->sin6_addr)
                         : static_cast<void*>(&v4_to->sin_addr);
  inet_pton(to.ss_family, address.c_str(), where);
  const socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  EXPECT_EQ(sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), size),
            1);
}

}  // namespace

LanNode::LanNode(TestHost& lan, int number)
    : nic(absl::StrCat("nic", number)),
      ips({absl::StrCat("10.9.0.", number), absl::StrCat("fd00:9::", number)}),
      lan_(lan) {
  // As kubelet and kube-proxy set it.
  host.Shell(
      "ip link set lo up && sysctl -qw net.ipv4.ip_forward=1 "
      "net.ipv6.conf.all.forwarding=1");
  MakeNic();
  // In the node's network namespace, which the daemon inherits.
  host.Run(
      [&] { bed = std::make_unique<DaemonBed>(Config(nic), RangeOf(number)); });
}

LanNode::~LanNode() {
  host.Run([this] { bed.reset(); });
}

void LanNode::MakeNic() {
  Connect(host, lan_, nic);
  lan_.Shell("ip link set " + nic + " master br0");
  GiveAddresses(host, nic, ips);
}

void LanNode::SetNicUp() {
  host.Shell("ip link set " + nic + " up");
  GiveAddresses(host, nic, ips);
}

LanPod LanNode::RunPod(const std::string& name, int host_port) {
  cri::PodSandboxConfig config = bed->PodConfig(name);
  if (host_port != 0) {
    auto* mapping = config.add_port_mappings();
    mapping->set_protocol(cri::TCP);
    mapping->set_container_port(80);
    mapping->set_host_port(host_port);
  }
  LanPod pod;
  pod.id = bed->RunPod(config);
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod.id);
  request.set_verbose(true);
  cri::PodSandboxStatusResponse response;
  const absl::Status status = bed->client().Call(request, &response);
  EXPECT_TRUE(status.ok()) << status;
  if (!status.ok()) return pod;
  pod.ips.push_back(response.status().network().ip());
  for (const auto& ip : response.status().network().additional_ips()) {
    pod.ips.push_back(ip.ip());
  }
  const auto info = nlohmann::json::parse(response.info().at("info"));
  pod.host = std::make_unique<TestHost>(info.at("netns").get<std::string>());
  return pod;
}

absl::Status LanNode::TryRunPod(const std::string& name) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = bed->PodConfig(name);
  cri::RunPodSandboxResponse response;
  return bed->client().Call(request, &response);
}

std::string LanNode::NetworkReason() {
  cri::StatusResponse response;
  const absl::Status status =
      bed->client().Call(cri::StatusRequest(), &response);
  EXPECT_TRUE(status.ok()) << status;
  for (const auto& condition : response.status().conditions()) {
    if (condition.type() != "NetworkReady") continue;
    return condition.status() ? "" : condition.reason();
  }
  return "no such condition";
}

TwoNodes::TwoNodes() {
  lan.Shell("ip link add br0 type bridge && ip link set br0 up");
  Connect(third, lan, "nic9");
  lan.Shell("ip link set nic9 master br0");
  GiveAddresses(third, "nic9", third_ips);
  one = std::make_unique<LanNode>(lan, 1);
  two = std::make_unique<LanNode>(lan, 2);
}

// In the reverse order, and no pods left when the first one looks around:
// each bed sees the other's daemon as a child of this program.
TwoNodes::~TwoNodes() {
  for (LanNode* const node : {one.get(), two.get()}) {
    if (node->bed->pid() != 0) node->bed->RemoveAll();
  }
  two.reset();
  one.reset();
}

size_t TwoNodes::Answers(const std::string& address) {
  std::set<std::string> answers;
  third.Shell("ip neigh flush all");
  third.Run([&] {
    const os::UniqueFd wire(
        socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    EXPECT_TRUE(wire.valid());
    Ask(address);
    auto end = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      const auto left = std::chrono::ceil<milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd ready = {wire.get(), POLLIN, 0};
      if (left.count() <= 0 ||
          poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
        return;
      }
      std::string frame(2048, '\0');
      const ssize_t got = recv(wire.get(), frame.data(), frame.size(), 0);
      if (got <= 0) continue;
      frame.resize(static_cast<size_t>(got));
      if (!IsAnswer(frame, address)) continue;
      if (answers.empty()) end = std::chrono::steady_clock::now() + kListen;
      answers.insert(frame.substr(6, 6));
    }
  });
  return answers.size();
}

}  // namespace pinion::testing
