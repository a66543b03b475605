// Statistics and metrics of real pods, against the files they come from. What
// needs controllers is checked in the VM (tests/vm/suites/crictl.sh).

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>

#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

class StatsTest : public ::testing::Test {
 protected:
  // A pod with a container that has worked a little and waits.
  void RunBusyContainer() {
    auto pod_config = bed_.PodConfig("busy");
    pod_ = bed_.RunPod(pod_config);
    container_ = bed_.RunContainer(
        pod_, pod_config,
        bed_.ContainerConfig(
            "app", {"sh", "-c",
                    "dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null; "
                    "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; "
                    "sleep 600 & echo ready; wait"}));
    // The log tells when the work is done.
    ASSERT_TRUE(testing_support::Eventually(
        [&] { return !bed_.LogLines("busy", "app").empty(); }));
  }

  template <typename Response>
  Response Ask(const google::protobuf::Message& request) {
    Response response;
    const absl::Status status = bed_.client().Call(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  DaemonBed bed_;
  std::string pod_;
  std::string container_;
};

TEST_F(StatsTest, AContainersStatsAreTheKernels) {
  RunBusyContainer();
  cri::ContainerStatsRequest request;
  request.set_container_id(container_);
  const auto stats = Ask<cri::ContainerStatsResponse>(request).stats();
  EXPECT_EQ(stats.attributes().id(), container_);
  EXPECT_EQ(stats.attributes().metadata().name(), "app");
  // It counted to 200000 and then slept.
  EXPECT_GT(stats.cpu().usage_core_nano_seconds().value(), 10'000'000U);
  EXPECT_GT(stats.cpu().timestamp(), 0);
  EXPECT_GE(stats.writable_layer().used_bytes().value(), 3U << 20);
  EXPECT_GE(stats.writable_layer().inodes_used().value(), 1U);
  EXPECT_EQ(stats.writable_layer().fs_id().mountpoint(),
            bed_.root() + "/containers");
}

TEST_F(StatsTest, APodsStatsHaveProcessesNetworkAndContainers) {
  RunBusyContainer();
  cri::PodSandboxStatsRequest request;
  request.set_pod_sandbox_id(pod_);
  const auto stats = Ask<cri::PodSandboxStatsResponse>(request).stats();
  // The monitor, the shell and its sleep.
  EXPECT_EQ(stats.linux().process().process_count().value(), 3U);
  EXPECT_EQ(stats.linux().network().default_interface().name(), "eth0");
  EXPECT_TRUE(stats.linux().network().default_interface().has_rx_bytes());
  ASSERT_EQ(stats.linux().containers_size(), 1);
  EXPECT_LE(
      stats.linux().containers(0).cpu().usage_core_nano_seconds().value(),
      stats.linux().cpu().usage_core_nano_seconds().value() + 1'000'000'000U);
}

TEST_F(StatsTest, TheMetricsOfAContainer) {
  RunBusyContainer();
  const auto response = Ask<cri::ListPodSandboxMetricsResponse>(
      cri::ListPodSandboxMetricsRequest());
  ASSERT_EQ(response.pod_metrics_size(), 1);
  EXPECT_EQ(response.pod_metrics(0).pod_sandbox_id(), pod_);
  ASSERT_EQ(response.pod_metrics(0).container_metrics_size(), 1);
  std::map<std::string, uint64_t> values;
  for (const auto& m : response.pod_metrics(0).container_metrics(0).metrics()) {
    values[m.name()] = m.value().value();
  }
  EXPECT_EQ(values["container_processes"], 2U);
  // sh: stdin, stdout, stderr; sleep the same.
  EXPECT_GE(values["container_file_descriptors"], 6U);
  EXPECT_EQ(values["container_sockets"], 0U);
  EXPECT_GT(values["container_ulimits_soft"], 0U);
  EXPECT_GE(values["container_fs_usage_bytes"], 3U << 20);
  EXPECT_GT(values["container_fs_limit_bytes"], 0U);
  EXPECT_GT(values["container_start_time_seconds"], 1'700'000'000U);
  EXPECT_GE(values["container_last_seen"],
            values["container_start_time_seconds"]);
}

TEST_F(StatsTest, AContainerThatEndedHasItsLayerOnly) {
  auto pod_config = bed_.PodConfig("short");
  const std::string pod = bed_.RunPod(pod_config);
  const std::string id =
      bed_.RunContainer(pod, pod_config, bed_.ContainerConfig("app", {"true"}));
  bed_.AwaitExit(id);
  cri::ListContainerStatsRequest request;
  request.mutable_filter()->set_pod_sandbox_id(pod.substr(0, 10));
  const auto list = Ask<cri::ListContainerStatsResponse>(request);
  ASSERT_EQ(list.stats_size(), 1);
  EXPECT_FALSE(list.stats(0).has_cpu());
  EXPECT_TRUE(list.stats(0).has_writable_layer());
}

}  // namespace
}  // namespace pinion::testing
