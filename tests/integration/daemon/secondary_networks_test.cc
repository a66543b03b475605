// Pods with further interfaces, through the CRI. The parents are ends of veth
// pairs in the test's own network namespace.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr char kNetworks[] = "network.pinion.dev/networks";
constexpr char kConfig[] = R"(
[network.secondary.red]
parent = "lan1"
range = "10.61.0.0/24"
[network.secondary.blue]
parent = "lan2"
range = "10.62.0.0/24,fd62::/64"
routes = ["10.99.0.0/16 via 10.62.0.1"]
[network.secondary.gone]
parent = "nowhere"
range = "10.63.0.0/24"
)";

// Devices of the test's host, there before the daemon and until after it.
class Cables {
 public:
  Cables() {
    for (const char* name : {"lan1", "lan2"}) {
      Run(std::string("ip link add ") + name + " type veth peer name " + name +
          "-far && ip link set " + name + " up && ip link set " + name +
          "-far up");
    }
  }
  ~Cables() {
    for (const char* name : {"lan1", "lan2"}) {
      Run(std::string("ip link delete ") + name);
    }
  }

 private:
  static void Run(const std::string& command) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT
  }
};

class SecondaryNetworksTest : public ::testing::Test {
 protected:
  cri::PodSandboxConfig Pod(const std::string& name,
                            const std::string& networks) {
    auto config = bed_.PodConfig(name);
    (*config.mutable_annotations())[kNetworks] = networks;
    return config;
  }

  absl::Status TryRun(const cri::PodSandboxConfig& config,
                      std::string* id = nullptr) {
    cri::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    cri::RunPodSandboxResponse response;
    const absl::Status status = bed_.client().Call(request, &response);
    if (id != nullptr) *id = response.pod_sandbox_id();
    return status;
  }

  // A container that sleeps in the pod.
  std::string Sleeper(const std::string& pod,
                      const cri::PodSandboxConfig& config) {
    return bed_.RunContainer(pod, config,
                             bed_.ContainerConfig("app", {"sleep", "1000"}));
  }

  std::string Output(const std::string& container,
                     const std::vector<std::string>& command) {
    const auto result = bed_.Exec(container, command);
    EXPECT_EQ(result.exit_code(), 0) << result.stderr();
    return result.stdout();
  }

  // Further interfaces as the verbose status has them.
  nlohmann::json Networks(const std::string& pod) {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod);
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    EXPECT_TRUE(bed_.client().Call(request, &response).ok());
    return nlohmann::json::parse(response.info().at("info"))["networks"];
  }

  std::string Address(const std::string& pod, size_t place = 0) {
    return Networks(pod).at(place)["ips"].at(0);
  }

  Cables cables_;
  DaemonBed bed_{kConfig};
};

TEST_F(SecondaryNetworksTest, PodsHaveWhatTheyAskFor) {
  const auto config = Pod("asks", "red, blue@ran0=10.62.0.77, red");
  const std::string pod = bed_.RunPod(config);
  const std::string app = Sleeper(pod, config);
  const auto networks = Networks(pod);
  ASSERT_EQ(networks.size(), 3u);
  EXPECT_EQ(networks[0]["interface"], "net1");
  EXPECT_EQ(networks[0]["parent"], "lan1");
  EXPECT_EQ(networks[1]["name"], "blue");
  EXPECT_EQ(networks[1]["interface"], "ran0");
  EXPECT_THAT(networks[1]["ips"].get<std::vector<std::string>>(),
              ElementsAre("10.62.0.77", HasSubstr("fd62::")));
  EXPECT_EQ(networks[2]["interface"], "net3");
  for (const auto& one : networks) {
    const std::string name = one["interface"];
    const std::string shown = Output(app, {"ip", "addr", "show", name});
    EXPECT_THAT(shown, HasSubstr(one["ips"][0]));
    EXPECT_THAT(shown, HasSubstr(one["mac"]));
  }
  const std::string routes = Output(app, {"ip", "route"});
  EXPECT_THAT(routes, HasSubstr("10.99.0.0/16 via 10.62.0.1 dev ran0"));
  EXPECT_THAT(routes, HasSubstr("default via"));
  EXPECT_THAT(Output(app, {"ip", "route", "show", "default"}),
              HasSubstr("dev eth0"));

  // For Kubernetes the pod has one address; its traffic is all counted.
  const auto status = bed_.PodStatus(pod);
  EXPECT_EQ(status.network().additional_ips_size(), 0);
  EXPECT_THAT(Output(app, {"ip", "addr", "show", "eth0"}),
              HasSubstr(status.network().ip()));
  cri::PodSandboxStatsRequest request;
  request.set_pod_sandbox_id(pod);
  cri::PodSandboxStatsResponse response;
  ASSERT_TRUE(bed_.client().Call(request, &response).ok());
  const auto& stats = response.stats().linux().network();
  EXPECT_EQ(stats.default_interface().name(), "eth0");
  std::vector<std::string> names;
  for (const auto& one : stats.interfaces()) names.push_back(one.name());
  EXPECT_THAT(names, UnorderedElementsAre("net1", "ran0", "net3"));
}

TEST_F(SecondaryNetworksTest, PodsOfANetworkReachEachOther) {
  const auto a = Pod("a", "red");
  const auto b = Pod("b", "red");
  const auto c = Pod("c", "blue");
  const std::string pod_a = bed_.RunPod(a);
  const std::string pod_b = bed_.RunPod(b);
  const std::string pod_c = bed_.RunPod(c);
  const std::string app_a = Sleeper(pod_a, a);
  const std::string app_c = Sleeper(pod_c, c);
  const std::string address = Address(pod_b);
  EXPECT_TRUE(testing_support::Eventually([&] {
    return bed_.Exec(app_a, {"ping", "-c", "1", "-W", "5", address})
               .exit_code() == 0;
  }));
  EXPECT_NE(
      bed_.Exec(app_c, {"ping", "-c", "1", "-W", "1", address}).exit_code(), 0);
}

TEST_F(SecondaryNetworksTest, WhatCannotBeIsRefusedAndLeavesNothing) {
  for (const char* networks :
       {"green", "red@net2,blue", "red@eth0", "red@lo", "red=10.62.0.7",
        "red=10.61.0.0", "red,,blue", "red=10.61.0.300"}) {
    const absl::Status status = TryRun(Pod("wrong", networks));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << networks << ": " << status;
  }
  auto host = Pod("host", "red");
  host.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  EXPECT_TRUE(absl::IsInvalidArgument(TryRun(host)));
  auto misspelt = bed_.PodConfig("misspelt");
  (*misspelt.mutable_annotations())["network.pinion.dev/network"] = "red";
  EXPECT_TRUE(absl::IsInvalidArgument(TryRun(misspelt)));

  const absl::Status missing = TryRun(Pod("missing", "red,gone"));
  EXPECT_TRUE(absl::IsFailedPrecondition(missing)) << missing;
  EXPECT_THAT(missing.message(), HasSubstr("nowhere"));
  bed_.RunPod(Pod("holder", "red=10.61.0.9"));
  const absl::Status taken = TryRun(Pod("taken", "blue,red=10.61.0.9"));
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  cri::ListPodSandboxResponse list;
  ASSERT_TRUE(bed_.client().Call(cri::ListPodSandboxRequest(), &list).ok());
  EXPECT_EQ(list.items_size(), 1);
}

TEST_F(SecondaryNetworksTest, OneAbsentParentIsShownAndDoesNotConcernTheNode) {
  cri::StatusRequest request;
  request.set_verbose(true);
  cri::StatusResponse response;
  nlohmann::json networks;
  // The daemon has just been started: it learns of links as they come up.
  EXPECT_TRUE(testing_support::Eventually([&] {
    if (!bed_.client().Call(request, &response).ok()) return false;
    bool all = true;
    for (const auto& condition : response.status().conditions()) {
      all = all && condition.status();
    }
    networks =
        nlohmann::json::parse(response.info().at("network"))["secondary"];
    return all && networks.size() == 3 && networks[2]["ready"] == true;
  })) << response.DebugString();
  ASSERT_EQ(networks.size(), 3u);
  EXPECT_EQ(networks[1]["name"], "gone");
  EXPECT_EQ(networks[1]["ready"], false);
  EXPECT_EQ(networks[1]["reason"], "ParentMissing");
  EXPECT_EQ(networks[2]["ready"], true);
  const auto config =
      nlohmann::json::parse(response.info().at("config"))["network"];
  EXPECT_EQ(config["secondary"]["blue"]["parent"], "lan2");
}

TEST_F(SecondaryNetworksTest, AddressesOutliveTheDaemon) {
  const auto kept = Pod("kept", "red,blue");
  const std::string pod = bed_.RunPod(kept);
  const auto before = Networks(pod);
  for (const bool killed : {true, false}) {
    if (killed) {
      bed_.Kill();
    } else {
      bed_.Terminate();
    }
    // The daemon does not know the pools any more, only its records.
    ASSERT_EQ(std::system(  // NOLINT
                  ("rm -r " + bed_.state() + "/ipam/secondary").c_str()),
              0);
    bed_.Start();
    EXPECT_EQ(Networks(pod), before);
    const std::string other = bed_.RunPod(Pod("other", "red,blue"));
    EXPECT_NE(Address(other, 0), before[0]["ips"][0]);
    EXPECT_NE(Address(other, 1), before[1]["ips"][0]);
    EXPECT_TRUE(bed_.RemovePod(other).ok());
  }
  EXPECT_TRUE(bed_.RemovePod(pod).ok());
  // Free, and to be had by name as soon as the kernel has taken the link down.
  const auto next = Pod("next", "red=" + std::string(before[0]["ips"][0]));
  absl::Status status;
  EXPECT_TRUE(testing_support::Eventually([&] {
    status = TryRun(next);
    return !absl::IsUnavailable(status);
  }));
  EXPECT_TRUE(status.ok()) << status;
}

// Whatever it was at, a killed daemon's successor undoes it: the bed counts
// links, addresses, namespaces and cgroups in the end.
TEST_F(SecondaryNetworksTest, SigkillInMidAttachLeavesNothing) {
  constexpr int kRounds = 6;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<bool> killed = false;
    std::atomic<int> ran = 0;
    // Nothing but the kill may end it.
    const auto ended = [&killed](const absl::Status& status) {
      EXPECT_TRUE(status.ok() || killed) << status;
      return !status.ok();
    };
    std::thread runner([&, round] {
      for (int i = 0;; ++i) {
        std::string id;
        const auto config =
            Pod("k" + std::to_string(round) + "-" + std::to_string(i),
                "red,blue,red,blue");
        if (ended(TryRun(config, &id))) return;
        ++ran;
        if (ended(bed_.StopPod(id)) || ended(bed_.RemovePod(id))) return;
      }
    });
    EXPECT_TRUE(testing_support::Eventually([&ran] { return ran >= 2; }));
    // Anywhere in a pod's life: the instant differs by round.
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    killed = true;
    bed_.Kill();
    runner.join();
    bed_.Start();
  }
  bed_.RunPod(Pod("after", "red,blue"));
}

TEST_F(SecondaryNetworksTest, UserNamespacesAndNetworkSysctlsHaveThemToo) {
  auto config = Pod("mapped", "red,blue");
  auto* userns = config.mutable_linux()
                     ->mutable_security_context()
                     ->mutable_namespace_options()
                     ->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (auto* mapping : {userns->add_uids(), userns->add_gids()}) {
    mapping->set_host_id(131072);
    mapping->set_length(65536);
  }
  const std::string mapped = Sleeper(bed_.RunPod(config), config);
  EXPECT_THAT(Output(mapped, {"ip", "addr", "show", "net2"}),
              HasSubstr("10.62.0."));
  auto tuned = Pod("tuned", "red");
  (*tuned.mutable_linux()
        ->mutable_sysctls())["net.ipv4.ip_unprivileged_port_start"] = "80";
  const std::string app = Sleeper(bed_.RunPod(tuned), tuned);
  EXPECT_THAT(Output(app, {"ip", "addr", "show", "net1"}),
              HasSubstr("10.61.0."));
}

}  // namespace
}  // namespace pinion::testing
