// Units when systemd does not do what it is asked, or not yet: stuck jobs, a
// bus that hangs, slices that are being stopped, names that mean harm. The
// real systemd and dbus; what is done to them only a machine of our own bears.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/cgroup/vm/unit_bed.h"
#include "tests/support/eventually.h"

namespace pinion::cgroup {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;
using testing_support::Eventually;
using testing_support::ScratchCgroup;

constexpr milliseconds kShort{1000};

bool IsKnown(const UnitPod& pod) {
  return Shell("systemctl show -p LoadState --value " + pod.Unit()) !=
             "not-found" ||
         Shell("systemctl list-jobs --no-legend").find(pod.Unit()) !=
             std::string::npos;
}

// A slice, another each time, whose start waits for a service that takes for
// ever to start.
class StuckSlice {
 public:
  StuckSlice() {
    EXPECT_EQ(Shell("mkdir " + dir_), "");
    std::ofstream(dir_ + "/wait.conf") << "[Unit]\nAfter=pntest-slow.service\n";
    std::ofstream(kService)
        << "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n";
    EXPECT_EQ(Shell("systemctl daemon-reload"), "");
    EXPECT_EQ(Shell("systemctl start --no-block pntest-slow.service"), "");
  }
  ~StuckSlice() {
    Free();
    EXPECT_EQ(Shell("rm -r " + dir_ + " " + kService), "");
    EXPECT_EQ(Shell("systemctl daemon-reload"), "");
  }
  void Free() { Shell("systemctl stop pntest-slow.service"); }
  const std::string& name() const { return name_; }

 private:
  static constexpr char kService[] = "/run/systemd/system/pntest-slow.service";

  const std::string name_ = "pntest-stuck" + NewId().substr(0, 8) + ".slice";
  const std::string dir_ = "/run/systemd/system/" + name_ + ".d";
};

class UnitFaults {
 protected:
  explicit UnitFaults(const BusCase& bus)
      : bus_(bus),
        driver_(NewDriver(bus)),
        impatient_(NewDriver(bus, {.job = kShort})) {}

  absl::Status Create(PodCgroupDriver& driver, UnitPod& pod,
                      const std::string& slice) {
    pod.path = driver.PathOf(pod.id, slice);
    return driver.Create(pod.id, slice, "pod default/test", pod.monitor.pid());
  }
  void ExpectWorks(const std::string& slice) {
    UnitPod pod(view_);
    const absl::Status made = Create(*driver_, pod, slice);
    EXPECT_TRUE(made.ok()) << made;
    const absl::Status removed = driver_->Remove(pod.id, pod.path);
    EXPECT_TRUE(removed.ok()) << removed;
    EXPECT_FALSE(view_.Exists(pod.path));
  }

  const BusCase bus_;
  ScratchCgroup view_;
  std::unique_ptr<PodCgroupDriver> driver_;
  // Gives up soon.
  std::unique_ptr<PodCgroupDriver> impatient_;
};

// With dbus between us and systemd, and without.
class UnitFaultsTest : public testing::TestWithParam<BusCase>,
                       protected UnitFaults {
 protected:
  UnitFaultsTest() : UnitFaults(GetParam()) {}
};

class UnitTest : public testing::Test, protected UnitFaults {
 protected:
  UnitTest() : UnitFaults(kDirect) {}
};

TEST_P(UnitFaultsTest, AStuckJobIsGivenUpAndTakenBack) {
  StuckSlice slice;
  UnitPod pod(view_);
  // Long enough for systemd to say that it has queued the job.
  const auto patient = NewDriver(bus_, {.job = milliseconds(10'000)});
  const absl::Status status = Create(*patient, pod, slice.name());
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("its job is still queued or running"));
  EXPECT_TRUE(Eventually([&] { return !IsKnown(pod); }));
  // It holds up nobody else.
  ExpectWorks("pntest-other.slice");
  // And is no obstacle once what it waited for is there: the same pod, too.
  slice.Free();
  const absl::Status again = Create(*driver_, pod, slice.name());
  EXPECT_TRUE(again.ok()) << again;
  EXPECT_TRUE(driver_->Remove(pod.id, pod.path).ok());
}

// The daemon was killed while systemd had the start in its queue: the next one
// only knows the pod's path, and there is no cgroup.
TEST_F(UnitTest, AQueuedStartOfADeadDaemonIsTakenBack) {
  StuckSlice slice;
  UnitPod pod(view_);
  pod.path = driver_->PathOf(pod.id, slice.name());
  os::SystemdBus::Options options;
  options.addresses = {bus_.address};
  {
    const auto dead = *os::SystemdBus::Create(options);
    EXPECT_FALSE(dead->StartTransientUnit(
                         pod.Unit(),
                         {{"Slice", slice.name()},
                          {"PIDs", std::vector<uint32_t>{static_cast<uint32_t>(
                                       pod.monitor.pid())}}},
                         std::chrono::steady_clock::now() + milliseconds(3000))
                     .ok());
  }
  EXPECT_TRUE(Eventually([&] { return IsKnown(pod); }));
  const absl::Status removed = driver_->Remove(pod.id, pod.path);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_TRUE(Eventually([&] { return !IsKnown(pod); }));
  slice.Free();
  EXPECT_FALSE(view_.Exists(pod.path));
  EXPECT_EQ(kill(pod.monitor.pid(), 0), 0) << "and it was not touched";
}

// A bus daemon that accepts and says nothing, as one does that swaps.
TEST_P(UnitFaultsTest, ABusThatHangsCostsADeadlineAndNoMore) {
  pid_t bus = 0;
  ASSERT_TRUE(absl::SimpleAtoi(
      Shell("systemctl show -p MainPID --value dbus.service"), &bus));
  ASSERT_GT(bus, 1);
  UnitPod pod(view_);
  PodCgroupDriver& driver = bus_.address.is_bus ? *impatient_ : *driver_;
  ASSERT_EQ(kill(bus, SIGSTOP), 0);
  const absl::Status status = Create(driver, pod, "pntest-hung.slice");
  ASSERT_EQ(kill(bus, SIGCONT), 0);
  if (!bus_.address.is_bus) {
    EXPECT_TRUE(status.ok()) << "no bus in between: " << status;
    EXPECT_TRUE(driver_->Remove(pod.id, pod.path).ok());
    return;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no answer from systemd"));
  // What the bus had in its hands arrives now, and is undone.
  EXPECT_TRUE(
      Eventually([&] { return !IsKnown(pod) && !view_.Exists(pod.path); }));
  ExpectWorks("pntest-hung.slice");
}

// A slice whose processes take ten seconds to end: a start in it meanwhile
// is refused by systemd ("destructive"), and is made when the stop is done.
TEST_F(UnitTest, ASliceThatIsBeingStoppedIsWaitedFor) {
  EXPECT_THAT(
      Shell("systemd-run --unit=pntest-lingers --slice=pntest-dying.slice "
            "-p TimeoutStopSec=10 -p KillSignal=SIGCONT sleep 1000"),
      HasSubstr("pntest-lingers"));
  EXPECT_EQ(Shell("systemctl stop --no-block pntest-dying.slice"), "");
  EXPECT_THAT(Shell("systemctl list-jobs --no-legend"),
              HasSubstr("pntest-dying.slice"));
  ExpectWorks("pntest-dying.slice");
  Shell("systemctl reset-failed pntest-lingers.service");
}

// Whatever a pod is called, systemd shows one line, and after it has read the
// unit's files again every property is as it was.
TEST_F(UnitTest, ANameChangesNothingButTheDescription) {
  static constexpr char kShow[] =
      "systemctl show -p Slice,Delegate,TasksMax,MemoryMax,MemoryLow,"
      "CPUQuotaPerSecUSec,AllowedCPUs,KillMode,CollectMode,DropInPaths,"
      "Description ";
  const std::vector<std::string> names = {"plain",
                                          "a\nMemoryMax=1M\n[Scope]\nX=1",
                                          "goes on\\",
                                          "%n %H %%",
                                          "\"quoted' ${PATH} $(id) ; # !",
                                          std::string(5000, 'x'),
                                          "h\xc3\xa9llo \xff\xfe",
                                          "tab\tcr\rnul\x01"};
  std::vector<std::unique_ptr<UnitPod>> pods;
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    pods.push_back(std::make_unique<UnitPod>(view_));
    UnitPod& pod = *pods.back();
    pod.path = driver_->PathOf(pod.id, "pntest-names.slice");
    const absl::Status made =
        driver_->Create(pod.id, "pntest-names.slice", "pinion pod shop/" + name,
                        pod.monitor.pid());
    ASSERT_TRUE(made.ok()) << made;
    shown.push_back(Shell(kShow + pod.Unit()));
    EXPECT_THAT(shown.back(), HasSubstr("MemoryMax=infinity"));
    EXPECT_THAT(shown.back(), HasSubstr("Delegate=yes"));
    EXPECT_THAT(shown.back(), HasSubstr("CollectMode=inactive-or-failed"));
    const std::string description =
        Shell("systemctl show -p Description --value " + pod.Unit());
    EXPECT_THAT(description, testing::StartsWith("pinion pod shop/"));
    EXPECT_THAT(description, Not(HasSubstr("\n")));
    EXPECT_LE(description.size(), 200U);
  }
  EXPECT_EQ(Shell("systemctl daemon-reload"), "");
  for (size_t i = 0; i < pods.size(); ++i) {
    EXPECT_EQ(Shell(kShow + pods[i]->Unit()), shown[i]) << names[i];
    EXPECT_EQ(pods[i]->Read("memory.max"), "max") << names[i];
    EXPECT_TRUE(driver_->Remove(pods[i]->id, pods[i]->path).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Connections, UnitFaultsTest,
                         testing::Values(kBus, kDirect), [](const auto& one) {
                           return std::string(one.param.name);
                         });

}  // namespace
}  // namespace pinion::cgroup
