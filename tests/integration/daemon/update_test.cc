// UpdateContainerResources on a real container. Limits need controllers and
// are checked in the VM (tests/vm/suites/crictl.sh); what is recorded, and the
// oom_score_adj, is seen everywhere.

#include <gtest/gtest.h>

#include <string>

#include "tests/support/daemon_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

class UpdateTest : public ::testing::Test {
 protected:
  absl::Status Update(const cri::LinuxContainerResources& linux) {
    cri::UpdateContainerResourcesRequest request;
    request.set_container_id(id_);
    *request.mutable_linux() = linux;
    cri::UpdateContainerResourcesResponse response;
    return bed_.client().Call(request, &response);
  }

  std::string OomScore() {
    return bed_.Exec(id_, {"cat", "/proc/1/oom_score_adj"}).stdout();
  }

  cri::LinuxContainerResources Recorded() {
    return bed_.Status(id_).resources().linux();
  }

  DaemonBed bed_;
  cri::PodSandboxConfig pod_config_ = bed_.PodConfig("update");
  std::string pod_ = bed_.RunPod(pod_config_);
  std::string id_;
};

TEST_F(UpdateTest, IsRecordedAndKeptByARestart) {
  id_ = bed_.RunContainer(pod_, pod_config_,
                          bed_.ContainerConfig("app", {"sleep", "600"}));
  cri::LinuxContainerResources linux;
  linux.set_cpu_shares(512);
  linux.set_oom_score_adj(700);
  ASSERT_TRUE(Update(linux).ok());
  EXPECT_EQ(OomScore(), "700\n");
  EXPECT_EQ(Recorded().cpu_shares(), 512);
  linux.Clear();
  linux.set_memory_limit_in_bytes(64 << 20);
  ASSERT_TRUE(Update(linux).ok());
  EXPECT_EQ(Recorded().cpu_shares(), 512);
  bed_.Kill();
  bed_.Start();
  EXPECT_EQ(Recorded().cpu_shares(), 512);
  EXPECT_EQ(Recorded().oom_score_adj(), 700);
  EXPECT_EQ(Recorded().memory_limit_in_bytes(), 64 << 20);
}

TEST_F(UpdateTest, WhatIsRefusedChangesNothing) {
  id_ = bed_.RunContainer(pod_, pod_config_,
                          bed_.ContainerConfig("app", {"sleep", "600"}));
  cri::LinuxContainerResources linux;
  linux.set_memory_limit_in_bytes(64 << 20);
  ASSERT_TRUE(Update(linux).ok());
  linux.Clear();
  // Less than the memory limit in force; found out after the first checks.
  linux.set_memory_swap_limit_in_bytes(1 << 20);
  linux.set_oom_score_adj(700);
  const std::string before = OomScore();
  EXPECT_TRUE(absl::IsInvalidArgument(Update(linux)));
  EXPECT_EQ(OomScore(), before);
  EXPECT_EQ(Recorded().memory_swap_limit_in_bytes(), 0);
}

TEST_F(UpdateTest, BeforeTheStartItIsWhatTheContainerStartsWith) {
  id_ = bed_.Create(pod_, pod_config_,
                    bed_.ContainerConfig("app", {"sleep", "600"}));
  cri::LinuxContainerResources linux;
  linux.set_oom_score_adj(300);
  ASSERT_TRUE(Update(linux).ok());
  bed_.StartContainer(id_);
  EXPECT_EQ(OomScore(), "300\n");
}

TEST_F(UpdateTest, AContainerThatEndedIsRefused) {
  id_ = bed_.RunContainer(pod_, pod_config_,
                          bed_.ContainerConfig("app", {"true"}));
  bed_.AwaitExit(id_);
  cri::LinuxContainerResources linux;
  linux.set_cpu_shares(512);
  EXPECT_TRUE(absl::IsFailedPrecondition(Update(linux)));
}

}  // namespace
}  // namespace pinion::testing
