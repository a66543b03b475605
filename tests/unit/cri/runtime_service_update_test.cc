#include <gtest/gtest.h>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class UpdateTest : public ServedTest {
 protected:
  using Stub = api::RuntimeService::Stub;

  grpc::Status Update(const api::UpdateContainerResourcesRequest& request) {
    api::UpdateContainerResourcesResponse response;
    return Call(*rpc_, &Stub::UpdateContainerResources, request, &response);
  }
};

TEST_F(UpdateTest, WhatIsSetReachesTheContainer) {
  const std::string id = Create(RunPod());
  api::UpdateContainerResourcesRequest request;
  request.set_container_id(id);
  request.mutable_linux()->set_cpu_quota(20000);
  // With the memory limit that is in force.
  request.mutable_linux()->set_memory_swap_limit_in_bytes(128 << 20);
  const grpc::Status status = Update(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  api::ContainerStatusRequest ask;
  ask.set_container_id(id);
  api::ContainerStatusResponse answer;
  ASSERT_TRUE(Call(*rpc_, &Stub::ContainerStatus, ask, &answer).ok());
  const auto& linux = answer.status().resources().linux();
  EXPECT_EQ(linux.cpu_quota(), 20000);
  EXPECT_EQ(linux.cpu_shares(), 256);
  EXPECT_EQ(linux.memory_limit_in_bytes(), 64 << 20);
  EXPECT_EQ(linux.memory_swap_limit_in_bytes(), 128 << 20);
}

TEST_F(UpdateTest, WhatCreateContainerRefusesIsRefused) {
  api::UpdateContainerResourcesRequest request;
  request.set_container_id(Create(RunPod()));
  request.mutable_linux()->set_cpu_period(5);
  const grpc::Status status = Update(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message().find("linux.cpu_period "), 0U)
      << status.error_message();
  request.clear_linux();
  request.mutable_windows();
  EXPECT_EQ(Update(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(UpdateTest, AMissingObjectIsNotFound) {
  api::UpdateContainerResourcesRequest request;
  request.set_container_id(std::string(64, '0'));
  EXPECT_EQ(Update(request).error_code(), grpc::StatusCode::NOT_FOUND);
  api::UpdatePodSandboxResourcesRequest pod;
  pod.set_pod_sandbox_id(std::string(64, '0'));
  api::UpdatePodSandboxResourcesResponse response;
  EXPECT_EQ(Call(*rpc_, &Stub::UpdatePodSandboxResources, pod, &response)
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(UpdateTest, APodsResourcesAreRecorded) {
  const std::string id = RunPod();
  api::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(id);
  request.mutable_resources()->set_cpu_shares(1024);
  request.mutable_overhead()->set_memory_limit_in_bytes(4096);
  api::UpdatePodSandboxResourcesResponse response;
  ASSERT_TRUE(
      Call(*rpc_, &Stub::UpdatePodSandboxResources, request, &response).ok());
  const auto pod = runtime_.FindPod(id);
  EXPECT_EQ((*pod)->spec().resources().cpu_shares(), 1024);
  EXPECT_EQ((*pod)->spec().overhead().memory_limit_bytes(), 4096);
  request.mutable_resources()->set_cpu_quota(1);
  EXPECT_EQ(Call(*rpc_, &Stub::UpdatePodSandboxResources, request, &response)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace pinion::cri
