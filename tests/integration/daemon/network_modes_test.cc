// Several modes on one node, of which a pod's annotation chooses one, through
// the CRI.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/daemon/net_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kMode[] = "network.pinion.dev/mode";
// Besides macvlan, whose range is the bed's.
constexpr char kModes[] =
    "modes = [\"bridge\", \"none\"]\n"
    "bridge_range = \"10.89.0.0/24\"\n"
    "[network.secondary.red]\n"
    "parent = \"lan1\"\n"
    "range = \"10.61.0.0/24\"\n";

// There before the daemon and until after it.
struct Cable {
  Cable() {
    OnNode("sysctl -qw net.ipv4.ip_forward=1");
    Plug(far, "lan1");
  }
  ~Cable() { OnNode("ip link del lan1"); }

  TestHost far;
};

class NetworkModesTest : public ::testing::Test {
 protected:
  // Without a mode: no annotation.
  cri::PodSandboxConfig Pod(const std::string& name, const std::string& mode,
                            int host_port = 0) {
    auto config = bed_.daemon().PodConfig(name);
    if (!mode.empty()) (*config.mutable_annotations())[kMode] = mode;
    if (host_port != 0) {
      auto* port = config.add_port_mappings();
      port->set_protocol(cri::TCP);
      port->set_host_port(host_port);
      port->set_container_port(80);
    }
    return config;
  }

  std::string Run(const cri::PodSandboxConfig& config) {
    return bed_.daemon().RunPod(config);
  }

  absl::Status TryRun(const cri::PodSandboxConfig& config) {
    cri::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    cri::RunPodSandboxResponse response;
    return bed_.daemon().client().Call(request, &response);
  }

  bool Pings(const std::string& pod, const std::string& address) {
    // Nothing promises that the first packet arrives.
    return testing_support::Eventually([&] {
      return bed_.InPod(pod, "ping -c 1 -W 5 " + address +
                                 " >/dev/null && echo well || true") ==
             "well\n";
    });
  }

  // The rules by which ports of the node lead to pods on this link.
  static std::string Ports(const std::string& link) {
    return OnNode("nft list table ip " + link + "-ports");
  }

  Cable cable_;
  NetBed bed_{kModes};
};

TEST_F(NetworkModesTest, EachPodGetsTheModeThatItAsksFor) {
  const std::string plain = Run(Pod("plain", ""));
  const std::string macvlan = Run(Pod("macvlan", "macvlan"));
  const std::string bridged = Run(Pod("bridged", "bridge"));
  const std::string lonely = Run(Pod("lonely", "none"));
  EXPECT_THAT(bed_.AddressOf(plain), StartsWith("10.88."));
  EXPECT_THAT(bed_.AddressOf(macvlan), StartsWith("10.88."));
  EXPECT_THAT(bed_.AddressOf(bridged), StartsWith("10.89.0."));
  EXPECT_EQ(bed_.AddressOf(lonely), "");
  EXPECT_THAT(bed_.InPod(macvlan, "ip -d link show eth0"),
              HasSubstr("macvlan"));
  EXPECT_THAT(bed_.InPod(bridged, "ip -d link show eth0"), HasSubstr("veth"));
  EXPECT_THAT(bed_.InPod(lonely, "ip link"), Not(HasSubstr("eth0")));
  for (const std::string& pod : {plain, macvlan, bridged}) {
    EXPECT_EQ(bed_.InPod(pod, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra"),
              "0\n");
  }
  EXPECT_TRUE(Pings(bridged, bed_.AddressOf(plain)));
  EXPECT_TRUE(Pings(plain, bed_.AddressOf(bridged)));

  EXPECT_THAT(bed_.Look(plain, "1").output, HasSubstr("mode macvlan"));
  EXPECT_THAT(bed_.Look(bridged, "1").output,
              AllOf(HasSubstr("mode bridge"), HasSubstr("of bridge pinion0")));
  EXPECT_THAT(bed_.Look(lonely, "1").output, HasSubstr("mode none"));
}

TEST_F(NetworkModesTest, ARestartKeepsWhatEachHas) {
  DaemonBed& daemon = bed_.daemon();
  const std::string plain = Run(Pod("plain", "", 18080));
  const std::string bridged = Run(Pod("bridged", "bridge", 18081));
  const std::string plain_ip = bed_.AddressOf(plain);
  const std::string bridged_ip = bed_.AddressOf(bridged);
  for (const bool killed : {true, false}) {
    if (killed) {
      daemon.Kill();
    } else {
      daemon.Terminate();
    }
    // The daemon does not know the pools any more, only its records.
    OnNode("rm -r " + daemon.state() + "/ipam");
    daemon.Start();
    EXPECT_EQ(bed_.AddressOf(plain), plain_ip);
    EXPECT_EQ(bed_.AddressOf(bridged), bridged_ip);
    EXPECT_THAT(Ports("pinion-host"),
                AllOf(HasSubstr("18080"), Not(HasSubstr("18081"))));
    EXPECT_THAT(Ports("pinion0"),
                AllOf(HasSubstr("18081"), Not(HasSubstr("18080"))));
    EXPECT_TRUE(Pings(bridged, plain_ip));
    const std::string other = Run(Pod("other", "bridge"));
    EXPECT_THAT(bed_.AddressOf(other),
                AllOf(StartsWith("10.89.0."), Not(bridged_ip)));
    EXPECT_TRUE(daemon.RemovePod(other).ok());
  }
  EXPECT_TRUE(daemon.RemovePod(bridged).ok());
  EXPECT_THAT(OnNode("nft list ruleset"),
              AllOf(HasSubstr("18080"), Not(HasSubstr("18081"))));
  EXPECT_TRUE(daemon.RemovePod(plain).ok());
  EXPECT_THAT(OnNode("nft list ruleset"), Not(HasSubstr("18080")));
}

// That nothing is left is what the bed looks for in the end.
TEST_F(NetworkModesTest, AModeThatIsNotEnabledIsRefusedAndLeavesNothing) {
  for (const char* const mode : {"cni", "Bridge", " bridge", "x"}) {
    const absl::Status status = TryRun(Pod("wrong", mode));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << mode << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("annotations[network.pinion.dev/mode]"),
                      HasSubstr("is not enabled on this node (macvlan, bridge, "
                                "none)")));
  }
  auto host = Pod("host", "bridge");
  host.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  EXPECT_TRUE(absl::IsInvalidArgument(TryRun(host)));
  cri::ListPodSandboxResponse list;
  ASSERT_TRUE(
      bed_.daemon().client().Call(cri::ListPodSandboxRequest(), &list).ok());
  EXPECT_EQ(list.items_size(), 0);
  // Of the same name, and the first address: nothing was used up.
  const std::string pod = Run(Pod("wrong", "bridge"));
  EXPECT_EQ(bed_.AddressOf(pod), "10.89.0.2");
}

TEST_F(NetworkModesTest, FurtherInterfacesGoWithEveryMode) {
  for (const char* const mode : {"macvlan", "bridge", "none"}) {
    auto config = Pod(mode, mode);
    (*config.mutable_annotations())["network.pinion.dev/networks"] = "red";
    const std::string pod = Run(config);
    EXPECT_THAT(bed_.InPod(pod, "ip addr show net1"), HasSubstr("10.61.0."))
        << mode;
  }
}

}  // namespace
}  // namespace pinion::testing
