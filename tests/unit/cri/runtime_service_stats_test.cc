#include <gtest/gtest.h>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class StatsTest : public ServedTest {
 protected:
  using Stub = api::RuntimeService::Stub;

  void SetUp() override {
    runtime_.hooks.measure_container = [](runtime::ContainerUsage& usage) {
      if (usage.container->state() != state::CONTAINER_RUNNING) return;
      usage.cgroup.emplace();
      usage.cgroup->usage.memory_current = 4096;
      usage.cgroup->details.emplace();
    };
    runtime_.hooks.measure_pod = [](runtime::PodUsage& usage) {
      usage.cgroup.emplace();
      usage.cgroup->usage.memory_current = 8192;
      usage.cgroup->details.emplace();
    };
    ServedTest::SetUp();
  }
};

TEST_F(StatsTest, AContainersStatsByPrefixOfItsId) {
  const std::string id = Create(RunPod());
  ASSERT_TRUE(Start(id).ok());
  api::ContainerStatsRequest request;
  request.set_container_id(id.substr(0, 12));
  api::ContainerStatsResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::ContainerStats, request, &response).ok());
  EXPECT_EQ(response.stats().attributes().id(), id);
  EXPECT_EQ(response.stats().memory().usage_bytes().value(), 4096U);
}

TEST_F(StatsTest, AMissingObjectIsNotFound) {
  api::ContainerStatsRequest container;
  container.set_container_id(std::string(64, '0'));
  api::ContainerStatsResponse container_response;
  EXPECT_EQ(Call(*rpc_, &Stub::ContainerStats, container, &container_response)
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
  api::PodSandboxStatsRequest pod;
  pod.set_pod_sandbox_id(std::string(64, '0'));
  api::PodSandboxStatsResponse pod_response;
  EXPECT_EQ(
      Call(*rpc_, &Stub::PodSandboxStats, pod, &pod_response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(StatsTest, ListsContainersThatMatch) {
  const std::string first = Create(RunPod("web-0"));
  const std::string pod = RunPod("web-1");
  const std::string second = Create(pod);
  api::ListContainerStatsRequest request;
  api::ListContainerStatsResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::ListContainerStats, request, &response).ok());
  EXPECT_EQ(response.stats_size(), 2);
  request.mutable_filter()->set_pod_sandbox_id(pod);
  ASSERT_TRUE(Call(*rpc_, &Stub::ListContainerStats, request, &response).ok());
  ASSERT_EQ(response.stats_size(), 1);
  EXPECT_EQ(response.stats(0).attributes().id(), second);
  // It was never started: it uses nothing.
  EXPECT_FALSE(response.stats(0).has_memory());
}

TEST_F(StatsTest, APodsStatsWithItsContainers) {
  const std::string pod = RunPod();
  ASSERT_TRUE(Start(Create(pod)).ok());
  api::PodSandboxStatsRequest request;
  request.set_pod_sandbox_id(pod);
  api::PodSandboxStatsResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::PodSandboxStats, request, &response).ok());
  EXPECT_EQ(response.stats().attributes().id(), pod);
  EXPECT_EQ(response.stats().linux().memory().usage_bytes().value(), 8192U);
  ASSERT_EQ(response.stats().linux().containers_size(), 1);
}

TEST_F(StatsTest, ListsOnlyPodsThatAreReady) {
  const std::string stopped = RunPod("web-0");
  const std::string ready = RunPod("web-1");
  ASSERT_TRUE(runtime_.StopPod(stopped).ok());
  api::ListPodSandboxStatsResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::ListPodSandboxStats,
                   api::ListPodSandboxStatsRequest(), &response)
                  .ok());
  ASSERT_EQ(response.stats_size(), 1);
  EXPECT_EQ(response.stats(0).attributes().id(), ready);
  api::ListPodSandboxMetricsResponse metrics;
  ASSERT_TRUE(Call(*rpc_, &Stub::ListPodSandboxMetrics,
                   api::ListPodSandboxMetricsRequest(), &metrics)
                  .ok());
  ASSERT_EQ(metrics.pod_metrics_size(), 1);
  EXPECT_EQ(metrics.pod_metrics(0).pod_sandbox_id(), ready);
}

TEST_F(StatsTest, DescribesTheMetrics) {
  api::ListMetricDescriptorsResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::ListMetricDescriptors,
                   api::ListMetricDescriptorsRequest(), &response)
                  .ok());
  EXPECT_EQ(response.descriptors_size(), 56);
}

}  // namespace
}  // namespace pinion::cri
