// The trials against the real kernel; they need root.

#include "tools/doctor_trials.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/file.h"

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DoctorTrialsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/var/tmp/pn-doctor-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    scratch_ = name;
  }
  void TearDown() override {
    if (!scratch_.empty()) {
      EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, scratch_).ok());
    }
  }

  std::string scratch_;
};

TEST_F(DoctorTrialsTest, OverlayWorksAndLeavesNothing) {
  const auto mounts = os::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
  const Trial trial = TryOverlay(scratch_ + "/not/there/yet");
  EXPECT_TRUE(trial.ok) << trial.error;
  EXPECT_THAT(os::ListDirAt(AT_FDCWD, scratch_).value(), IsEmpty());
  EXPECT_EQ(mounts.value(),
            os::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo").value());
}

TEST_F(DoctorTrialsTest, OverlayOnProcIsRefusedWithAReason) {
  const Trial trial = TryOverlay("/proc");
  EXPECT_FALSE(trial.ok);
  EXPECT_THAT(trial.error, HasSubstr("mkdtemp /proc/"));
}

TEST_F(DoctorTrialsTest, MacvlanWorksAndLeavesNoLink) {
  const auto links = os::ListDirAt(AT_FDCWD, "/sys/class/net");
  const Trial trial = TryMacvlan();
  EXPECT_TRUE(trial.ok) << trial.error;
  EXPECT_EQ(links.value(), os::ListDirAt(AT_FDCWD, "/sys/class/net").value());
}

TEST_F(DoctorTrialsTest, NamespacesAreTriedOneByOne) {
  const auto trials = TryNamespaces();
  EXPECT_EQ(trials.size(), 7U);
  for (const NamespaceTrial& item : trials) {
    EXPECT_TRUE(item.trial.ok) << item.name << ": " << item.trial.error;
  }
}

TEST_F(DoctorTrialsTest, DeviceProgramLoads) {
  const Trial trial = TryCgroupBpf();
  EXPECT_TRUE(trial.ok) << trial.error;
}

TEST_F(DoctorTrialsTest, FactsOfThisMachine) {
  const Facts facts = CollectFacts(scratch_, "no-such-device");
  EXPECT_TRUE(facts.root);
  EXPECT_GE(facts.kernel_major, 5);
  EXPECT_NE(facts.cgroup_layout, CgroupLayout::kNone);
  EXPECT_TRUE(facts.overlay.ok) << facts.overlay.error;
  EXPECT_FALSE(facts.parent_up.has_value());
  EXPECT_GT(facts.disk_total, facts.disk_free);
  EXPECT_GT(facts.nofile_hard, 0U);
}

}  // namespace
}  // namespace pinion::tools
