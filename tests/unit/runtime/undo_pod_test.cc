// A RunPodSandbox that failed, and whose undo fails as well.

#include <fcntl.h>
#include <gtest/gtest.h>

#include "metrics/metrics.h"
#include "os/file.h"
#include "runtime/operations.h"
#include "tests/support/fake_image_service.h"
#include "tests/support/fake_pod_network.h"
#include "tests/support/scratch_dir.h"

namespace pinion::runtime {
namespace {

// Cgroups that never existed.
class NoPodCgroups : public cgroup::PodCgroupDriver {
 public:
  cgroup::DriverKind kind() const override {
    return cgroup::DriverKind::kCgroupfs;
  }
  absl::Status CheckParent(const std::string&) const override {
    return absl::OkStatus();
  }
  std::string PathOf(const std::string& pod_id,
                     const std::string&) const override {
    return "/" + pod_id;
  }
  absl::Status Create(const std::string&, const std::string&,
                      const std::string&, pid_t) override {
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string&, const std::string&) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::string>> ListPods() override {
    return std::vector<std::string>();
  }
};

class UndoPodTest : public ::testing::Test {
 protected:
  UndoPodTest()
      : container_cgroups_({dir_.path() + "/cgroup", false, {}},
                           cgroup::MissingControllers::kIgnore),
        metrics_(metrics::Registry::Create()) {
    Dependencies dependencies;
    dependencies.images = &images_;
    dependencies.network = &network_;
    dependencies.pod_cgroups = &pod_cgroups_;
    dependencies.container_cgroups = &container_cgroups_;
    dependencies.metrics = metrics_.get();
    context_ = std::make_unique<Context>(Options(), dependencies);
    context_->records = *Records::Open(dir_.path() + "/state.db");
    context_->pods_dir =
        *os::OpenAt(AT_FDCWD, dir_.path(), O_RDONLY | O_DIRECTORY);
    state::PodRecord record;
    record.set_id(std::string(64, 'a'));
    record.mutable_spec()->set_name("web");
    record.set_state(state::POD_CREATING);
    record.set_cgroup("/pod");
    pod_ = std::make_shared<Pod>(record);
    EXPECT_TRUE(context_->records->Save(record).ok());
  }

  void Undo() {
    const absl::MutexLock lock(&pod_->operation);
    UndoPod(*context_, pod_);
  }

  size_t Saved() {
    std::vector<state::PodRecord> pods;
    std::vector<state::ContainerRecord> containers;
    std::vector<std::string> damaged;
    EXPECT_TRUE(context_->records->Load(&pods, &containers, &damaged).ok());
    return pods.size();
  }

  pinion::testing::ScratchDir dir_;
  testing_support::FakeImageService images_;
  testing_support::FakePodNetwork network_;
  NoPodCgroups pod_cgroups_;
  cgroup::ContainerCgroups container_cgroups_;
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<Context> context_;
  PodPtr pod_;
};

TEST_F(UndoPodTest, LeavesNothing) {
  Undo();
  EXPECT_EQ(Saved(), 0U);
  EXPECT_TRUE(context_->objects.Pods().empty());
}

TEST_F(UndoPodTest, ThatFailsCanBeFoundAndTriedAgain) {
  network_.detach_status = absl::UnavailableError("no netlink");
  Undo();
  EXPECT_EQ(Saved(), 1U) << "a restart would not find it";
  ASSERT_TRUE(context_->objects.FindPod(pod_->id).ok());
  EXPECT_EQ(context_->objects.FindPodByIdentity(
                IdentityOf(pod_->record.Get()->spec())),
            nullptr)
      << "a retry of RunPod would find it";
  EXPECT_FALSE(StopPod(*context_, pod_->id).ok());
  EXPECT_FALSE(RemovePod(*context_, pod_->id).ok());
  network_.detach_status = absl::OkStatus();
  EXPECT_TRUE(StopPod(*context_, pod_->id).ok());
  EXPECT_TRUE(RemovePod(*context_, pod_->id).ok());
  EXPECT_EQ(Saved(), 0U);
  EXPECT_TRUE(context_->objects.Pods().empty());
}

}  // namespace
}  // namespace pinion::runtime
