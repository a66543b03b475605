// Deaths by lack of memory, told from other deaths. Needs root and the memory
// controller.

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "runtime/launch/plan_writer.h"
#include "tests/integration/monitor/monitor_bed.h"

namespace pinion::monitor {
namespace {

// Grows until it is killed.
constexpr char kHog[] = "tail /dev/zero";

class OomTest : public MonitorTest {
 protected:
  void SetUp() override {
    MonitorTest::SetUp();
    cgroup_->Write("/cgroup.subtree_control", "+memory");
    cgroup_->Write(cgroup_->path() + "/cgroup.subtree_control", "+memory");
  }

  // A leaf with 16 MiB.
  os::UniqueFd SmallLeaf(const std::string& id) {
    os::UniqueFd leaf = Leaf(id);
    const std::string path = cgroup_->path() + "/" + id;
    cgroup_->Write(path + "/memory.max", "16777216");
    cgroup_->Write(path + "/memory.swap.max", "0");
    return leaf;
  }

  Started RunSmall(const std::string& id, const std::string& script) {
    const os::UniqueFd leaf = SmallLeaf(id);
    StartRequest request = Request(id, script);
    request.cgroup_fd = leaf.get();
    auto started = client_->Start(request, Soon());
    EXPECT_TRUE(started.ok()) << started.status();
    return std::move(started).value_or(Started());
  }
};

TEST_F(OomTest, ContainerThatIsOutOfMemoryIsOomKilled) {
  StartPod();
  RunSmall("c1", std::string("exec ") + kHog);
  const ExitRecord exit = events_.WaitExit("c1");
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_TRUE(exit.oom_killed);
  const auto records = ReadExitRecords(pod_dir_fd_.get());
  ASSERT_TRUE(records.ok() && records->size() == 1);
  EXPECT_TRUE(records->front().oom_killed);
}

TEST_F(OomTest, AKillIsNoOom) {
  StartPod();
  RunSmall("c1", "exec sleep 1000");
  EXPECT_TRUE(client_->Signal("c1", SIGKILL, Soon()).ok());
  const ExitRecord exit = events_.WaitExit("c1");
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_FALSE(exit.oom_killed);
}

TEST_F(OomTest, TheCgroupMayBeRemovedAsSoonAsTheExitIsReported) {
  StartPod();
  RunSmall("c1", kHog);
  EXPECT_TRUE(events_.WaitExit("c1").oom_killed);
  EXPECT_TRUE(Eventually(
      [&] { return rmdir((cgroup_->full() + "/c1").c_str()) == 0; }));
}

}  // namespace
}  // namespace pinion::monitor
