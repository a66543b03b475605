// A container's end, on directories of plain files that stand for its cgroups.
// A plain file keeps what was behind a shorter text: values have one length.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "metrics/metrics.h"
#include "os/file.h"
#include "runtime/operations.h"
#include "tests/support/fake_image_service.h"
#include "tests/support/fake_pod_network.h"
#include "tests/support/held_file.h"
#include "tests/support/scratch_dir.h"

namespace pinion::runtime {
namespace {

constexpr int64_t kMin = 12582912;

class MonitorEventsTest : public ::testing::Test {
 protected:
  MonitorEventsTest()
      : cgroups_({dir_.path(), false, {"memory"}},
                 cgroup::MissingControllers::kRefuse, CountingTold()),
        metrics_(metrics::Registry::Create()) {
    for (const std::string& path :
         {std::string("/pod"), "/pod/" + id_, "/pod/" + other_}) {
      std::filesystem::create_directories(dir_.path() + path);
      for (const char* file : {"cgroup.procs", "memory.min", "memory.low"}) {
        std::ofstream(dir_.path() + path + "/" + file) << "00000000\n";
      }
    }
    Dependencies dependencies;
    dependencies.images = &images_;
    dependencies.network = &network_;
    dependencies.container_cgroups = &cgroups_;
    dependencies.metrics = metrics_.get();
    context_ = std::make_unique<Context>(Options(), dependencies);
    context_->records = *Records::Open(dir_.path() + "/state.db");
    context_->work = std::make_unique<WorkQueue>(1);
    state::PodRecord pod;
    pod.set_id(std::string(64, 'a'));
    pod.set_state(state::POD_READY);
    pod.set_cgroup("/pod");
    pod_ = std::make_shared<Pod>(pod);
    state::ContainerRecord container;
    container.set_id(id_);
    container.set_pod_id(pod.id());
    container.set_state(state::CONTAINER_RUNNING);
    auto& unified =
        *container.mutable_spec()->mutable_resources()->mutable_unified();
    unified["memory.min"] = std::to_string(kMin);
    container_ = std::make_shared<Container>(pod_, container);
    context_->objects.Add(pod_);
    context_->objects.Add(container_);
    for (const std::string& id : {id_, other_}) {
      EXPECT_TRUE(
          cgroups_.Create("/pod", id, container.spec().resources()).ok());
    }
    EXPECT_EQ(PodsMin(), 2 * kMin);
  }

  cgroup::ContainerCgroupsOptions CountingTold() {
    cgroup::ContainerCgroupsOptions options;
    options.keep_protection = [this](const std::string&,
                                     const cgroup::Protection&) {
      ++told_;
      return absl::OkStatus();
    };
    return options;
  }
  int64_t PodsMin() {
    return std::stoll(
        *os::ReadFileAt(AT_FDCWD, dir_.path() + "/pod/memory.min"));
  }
  void End() {
    monitor::ExitRecord exit;
    exit.id = id_;
    MarkExited(*context_, *container_, exit);
    context_->work->Close();
  }

  int told_ = 0;
  const std::string id_ = std::string(64, 'b');
  const std::string other_ = std::string(64, 'c');
  pinion::testing::ScratchDir dir_;
  testing_support::FakeImageService images_;
  testing_support::FakePodNetwork network_;
  cgroup::ContainerCgroups cgroups_;
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<Context> context_;
  PodPtr pod_;
  ContainerPtr container_;
};

TEST_F(MonitorEventsTest, ItsPodIsPromisedLessOnceAContainerHasEnded) {
  End();
  EXPECT_EQ(PodsMin(), kMin)
      << "though its cgroup is there until it is removed";
  EXPECT_EQ(told_, 2) << "an end waits for no bus";
}

TEST_F(MonitorEventsTest, NobodysEndWaitsForAPodThatIsBusy) {
  {
    const absl::MutexLock busy(&pod_->operation);
    End();  // Waits for all that is queued.
    EXPECT_EQ(PodsMin(), 2 * kMin);
  }
  // What asks for something next passes it on.
  cgroups_.GuardPod("/pod");
  EXPECT_EQ(PodsMin(), kMin);
  EXPECT_EQ(told_, 3);
}

// Nobody holds up the end of a pod for it, or guards the pod's cgroup again.
TEST_F(MonitorEventsTest, APodThatStopsIsLeftAsItIs) {
  pod_->record.Update([](state::PodRecord& record) {
    record.set_state(state::POD_STOPPING);
    return true;
  });
  End();
  EXPECT_EQ(PodsMin(), 2 * kMin);
}

TEST_F(MonitorEventsTest, AnUpdateDoesNotBringBackWhatEndsMeanwhile) {
  state::Resources more;
  (*more.mutable_unified())["memory.min"] = "25165824";
  testing_support::HeldFile min(dir_.path() + "/pod/" + id_ + "/memory.min");
  std::thread updates([&] { (void)UpdateContainer(*context_, id_, more); });
  EXPECT_TRUE(min.AwaitWriter());
  End();
  min.LetGo();
  updates.join();
  EXPECT_EQ(PodsMin(), kMin) << "the other's";
  cgroups_.GuardPod("/pod");
  EXPECT_EQ(PodsMin(), kMin);
}

}  // namespace
}  // namespace pinion::runtime
