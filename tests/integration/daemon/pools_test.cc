// Address pools and a daemon that does not find what it left: no parent to
// open them for, no files.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/daemon/net_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::AllOf;
using ::testing::HasSubstr;

// As many addresses as pods.
constexpr int kPods = 3;
constexpr char kRange[] = "10.88.7.1-10.88.7.3";

std::string NotReadyReason(DaemonBed& bed) {
  cri::StatusResponse response;
  EXPECT_TRUE(bed.client().Call(cri::StatusRequest(), &response).ok());
  for (const cri::RuntimeCondition& condition :
       response.status().conditions()) {
    if (condition.type() == "NetworkReady") return condition.reason();
  }
  return "no NetworkReady";
}

std::vector<std::string> RunPods(DaemonBed& bed, const std::string& name) {
  std::vector<std::string> pods;
  for (int i = 0; i < kPods; ++i) {
    pods.push_back(bed.RunPod(bed.PodConfig(name + std::to_string(i))));
  }
  return pods;
}

TEST(LateParentTest, PodsThatGoMeanwhileLeaveTheirAddresses) {
  const Lan lan;
  DaemonBed bed("parent = \"lan0\"\ncool_down = \"0s\"\n", kRange);
  const std::vector<std::string> pods = RunPods(bed, "early");
  bed.Kill();
  OnNode("ip link set lan0 down && ip link set lan0 name lan-away");
  bed.Start();
  EXPECT_TRUE(testing_support::Eventually([&] {
    return NotReadyReason(bed) == "ParentMissing";
  })) << NotReadyReason(bed);
  // One of them is there when the parent is.
  for (size_t i = 1; i < pods.size(); ++i) {
    EXPECT_TRUE(bed.StopPod(pods[i]).ok());
    EXPECT_TRUE(bed.RemovePod(pods[i]).ok());
  }
  OnNode("ip link set lan-away name lan0 && ip link set lan0 up");
  EXPECT_TRUE(testing_support::Eventually([&] {
    return NotReadyReason(bed).empty();
  })) << NotReadyReason(bed);
  EXPECT_TRUE(bed.StopPod(pods[0]).ok());
  EXPECT_TRUE(bed.RemovePod(pods[0]).ok());
  for (const std::string& pod : RunPods(bed, "late")) {
    EXPECT_NE(bed.PodStatus(pod).network().ip(), "");
  }
}

TEST(PoolsTest, FilesThatAreRemovedUnderTheDaemonAreMissed) {
  DaemonBed bed("", "10.88.7.0/29");
  const auto ips = [&bed] {
    return RunProgram({BinaryPath("pinionctl"), "--config",
                       bed.dir() + "/pinion.toml", "--root", bed.root(),
                       "--state", bed.state(), "ips"});
  };
  const std::string pod = bed.RunPod(bed.PodConfig("web"));
  EXPECT_EQ(ips().exit_code, 0) << ips().output;
  ASSERT_TRUE(std::filesystem::remove(bed.state() + "/ipam/10.88.7.0_29"));
  const Outcome missed = ips();
  EXPECT_EQ(missed.exit_code, 1);
  EXPECT_THAT(missed.output,
              AllOf(HasSubstr("no pool in " + bed.state() + "/ipam has"),
                    HasSubstr("test/web"), HasSubstr("restart of piniond")));
  bed.Kill();
  bed.Start();
  const Outcome entered = ips();
  EXPECT_EQ(entered.exit_code, 0) << entered.output;
  EXPECT_THAT(entered.output, HasSubstr(bed.PodStatus(pod).network().ip()));
}

}  // namespace
}  // namespace pinion::testing
