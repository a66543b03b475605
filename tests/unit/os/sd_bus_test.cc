// The connection's own promises, against a systemd that fails on demand.

#include "os/sd_bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_systemd.h"

namespace pinion::os {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::Eventually;
using testing_support::FakeSystemd;

SystemdBus::Deadline In(milliseconds delay) {
  return std::chrono::steady_clock::now() + delay;
}

class SdBusTest : public testing::Test {
 protected:
  static constexpr double kInterval = 0.05;  // s

  SdBusTest() { Connect(milliseconds(static_cast<int>(kInterval * 1000))); }

  void Connect(milliseconds check_interval) {
    SystemdBus::Options options;
    options.addresses = {{fake_.address(), /*is_bus=*/false}};
    options.check_interval = check_interval;
    bus_ = *SystemdBus::Create(options);
  }

  absl::Status Start(const std::string& name,
                     milliseconds timeout = seconds(60)) {
    return bus_->StartTransientUnit(name, {{"Delegate", true}}, In(timeout));
  }
  // What systemd answers to the first calls; then it does as it is told.
  absl::Status StartAfterErrors(const std::string& error) {
    FakeSystemd::Faults faults;
    faults.start_error = error;
    fake_.SetFaults(faults);
    std::thread later([this] {
      while (fake_.calls().size() < 3) std::this_thread::yield();
      fake_.SetFaults({});
    });
    const absl::Status status = Start("a.scope");
    later.join();
    return status;
  }
  void Expect(const absl::Status& status, absl::StatusCode code,
              const char* text) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }

  // So many units whose jobs never end, until EndStuck.
  void StartStuck(int count) {
    FakeSystemd::Faults faults;
    faults.stuck_prefix = "stuck";
    fake_.SetFaults(faults);
    for (int i = 0; i < count; ++i) {
      stuck_.emplace_back([this, i] {
        EXPECT_FALSE(
            Start("stuck" + std::to_string(i) + ".scope", seconds(600)).ok());
      });
    }
  }
  void EndStuck() {
    bus_.reset();
    for (auto& thread : stuck_) thread.join();
  }
  // How often it was asked what became of a job.
  int64_t Looks() {
    const auto calls = fake_.calls();
    return std::count(calls.begin(), calls.end(), "GetAll");
  }

  FakeSystemd fake_;
  std::unique_ptr<SystemdBus> bus_;
  std::vector<std::thread> stuck_;
};

TEST_F(SdBusTest, StartsAUnitWithItsProperties) {
  const absl::Status status =
      bus_->StartTransientUnit("a.scope",
                               {{"Description", std::string("a pod")},
                                {"PIDs", std::vector<uint32_t>{7, 8}},
                                {"Delegate", true},
                                {"TasksMax", UINT64_MAX}},
                               In(seconds(60)));
  ASSERT_TRUE(status.ok()) << status;
  const auto properties = fake_.units()["a.scope"].properties;
  EXPECT_THAT(properties,
              ElementsAre(std::pair("Delegate", "b:1"),
                          std::pair("Description", "s:a pod"),
                          std::pair("PIDs", "au:7,8"),
                          std::pair("TasksMax", "t:18446744073709551615")));
  EXPECT_EQ(bus_->connections(), 1U);
}

TEST_F(SdBusTest, CallsOfManyThreadsAreUnderWayAtOnce) {
  // No job ends before all have been started: one at a time would time out.
  FakeSystemd::Faults faults;
  faults.hold_jobs_until = 40;
  fake_.SetFaults(faults);
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(40);
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([this, i, &results] {
      results[i] = Start("u" + std::to_string(i) + ".scope");
    });
  }
  for (auto& thread : threads) thread.join();
  for (const absl::Status& status : results) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(fake_.units().size(), 40U);
}

// However many are under way: what they cost systemd is measured in the VM
// (cgroup/vm/unit_storm_test.cc).
TEST_F(SdBusTest, AUnitCostsTheManagerACallForItsStartAndOneForItsEnd) {
  Connect(seconds(60));  // nothing is late
  const auto call_all = [this](const auto& call) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 40; ++i) {
      threads.emplace_back([&call, name = "u" + std::to_string(i) + ".scope"] {
        EXPECT_TRUE(call(name).ok());
      });
    }
    for (auto& thread : threads) thread.join();
  };
  EXPECT_TRUE(Start("first.scope").ok());
  const size_t before = fake_.calls().size();
  FakeSystemd::Faults faults;
  faults.hold_jobs_until = 40;
  fake_.SetFaults(faults);
  call_all(
      [this](const std::string& name) { return Start(name, seconds(60)); });
  call_all([this](const std::string& name) {
    return bus_->StopUnit(name, In(seconds(60)));
  });
  std::map<std::string, int> calls;
  const auto all = fake_.calls();
  for (size_t i = before; i < all.size(); ++i) ++calls[all[i]];
  EXPECT_THAT(calls, ElementsAre(std::pair("StartTransientUnit", 40),
                                 std::pair("StopUnit", 40)));
}

TEST_F(SdBusTest, AJobMayEndBeforeItsReply) {
  FakeSystemd::Faults faults;
  faults.job_before_reply = true;
  fake_.SetFaults(faults);
  EXPECT_TRUE(Start("a.scope").ok());
}

TEST_F(SdBusTest, ALostSignalCostsOneInterval) {
  FakeSystemd::Faults faults;
  faults.lose_job_signal = true;
  fake_.SetFaults(faults);
  EXPECT_TRUE(Start("a.scope").ok());
  EXPECT_TRUE(bus_->StopUnit("a.scope", In(seconds(60))).ok());
  EXPECT_TRUE(fake_.units().empty());
}

TEST_F(SdBusTest, AUnitThatIsActiveAlreadyIsAdopted) {
  fake_.SetUnit("a.scope", {});
  EXPECT_TRUE(Start("a.scope").ok());
}

TEST_F(SdBusTest, AUnitThatFailedBeforeIsMadeAnew) {
  fake_.SetUnit("a.scope", {"failed", {}});
  EXPECT_TRUE(Start("a.scope").ok());
  EXPECT_EQ(fake_.units()["a.scope"].active, "active");
}

TEST_F(SdBusTest, AFailedJobIsAnError) {
  FakeSystemd::Faults faults;
  faults.job_result = "failed";
  fake_.SetFaults(faults);
  Expect(Start("a.scope"), absl::StatusCode::kInternal,
         "StartTransientUnit a.scope: the job ended with failed");
}

TEST_F(SdBusTest, ErrorsKeepTheirMeaning) {
  FakeSystemd::Faults faults;
  faults.start_error = "org.freedesktop.DBus.Error.InvalidArgs";
  fake_.SetFaults(faults);
  Expect(Start("a.scope"), absl::StatusCode::kInvalidArgument,
         "StartTransientUnit a.scope: as told");
  faults.start_error = "org.freedesktop.DBus.Error.AccessDenied";
  fake_.SetFaults(faults);
  Expect(Start("a.scope"), absl::StatusCode::kPermissionDenied, "a.scope");
  faults.start_error = "org.freedesktop.systemd1.Whatever";
  fake_.SetFaults(faults);
  Expect(Start("a.scope"), absl::StatusCode::kInternal, "a.scope");
}

TEST_F(SdBusTest, NotNowIsTriedAgain) {
  EXPECT_TRUE(StartAfterErrors("org.freedesktop.DBus.Error.NoReply").ok());
}

TEST_F(SdBusTest, TheDeadlineHoldsAndTheConnectionStays) {
  FakeSystemd::Faults faults;
  faults.never_reply = true;
  fake_.SetFaults(faults);
  Expect(Start("a.scope", milliseconds(100)),
         absl::StatusCode::kDeadlineExceeded,
         "StartTransientUnit a.scope: no answer from systemd");
  fake_.SetFaults({});
  EXPECT_TRUE(Start("b.scope").ok());
  EXPECT_EQ(bus_->connections(), 1U);
}

TEST_F(SdBusTest, ALostReplyConverges) {
  FakeSystemd::Faults faults;
  faults.drop_after_calls = 1;
  fake_.SetFaults(faults);
  EXPECT_TRUE(Start("a.scope").ok());
  EXPECT_EQ(bus_->connections(), 2U);
  EXPECT_EQ(fake_.units().size(), 1U);
}

TEST_F(SdBusTest, ALostReplyToStopConverges) {
  ASSERT_TRUE(Start("a.scope").ok());
  FakeSystemd::Faults faults;
  faults.drop_after_calls = 1;
  fake_.SetFaults(faults);
  EXPECT_TRUE(bus_->StopUnit("a.scope", In(seconds(60))).ok());
  EXPECT_TRUE(fake_.units().empty());
}

TEST_F(SdBusTest, CallsDuringAnOutageWaitForItsEnd) {
  fake_.GoAway();
  Expect(Start("a.scope", milliseconds(200)),
         absl::StatusCode::kDeadlineExceeded, "a.scope");
  std::thread later([this] { fake_.Return(); });
  EXPECT_TRUE(Start("a.scope").ok());
  later.join();
  EXPECT_EQ(bus_->connections(), 2U);
}

TEST_F(SdBusTest, AGivenUpStartIsTakenBack) {
  FakeSystemd::Faults faults;
  faults.stuck_prefix = "stuck";
  fake_.SetFaults(faults);
  Expect(Start("stuck.scope", seconds(1)), absl::StatusCode::kDeadlineExceeded,
         "StartTransientUnit stuck.scope: its job is still queued or running");
  EXPECT_EQ(fake_.units().size(), 1U);
  bus_->AbandonUnit("stuck.scope");
  EXPECT_TRUE(Eventually([this] { return fake_.units().empty(); }));
}

TEST_F(SdBusTest, AGivenUpStartIsTakenBackAfterAnOutageToo) {
  FakeSystemd::Faults faults;
  faults.stuck_prefix = "stuck";
  fake_.SetFaults(faults);
  EXPECT_FALSE(Start("stuck.scope", seconds(1)).ok());
  fake_.GoAway();
  bus_->AbandonUnit("stuck.scope");
  fake_.Return();
  EXPECT_TRUE(Eventually([this] { return fake_.units().empty(); }));
  EXPECT_TRUE(Start("a.scope").ok());
}

TEST_F(SdBusTest, OnlyTheLatestOfVeryManyGivenUpStartsAreTakenBack) {
  fake_.GoAway();
  for (int i = 0; i < 1100; ++i) bus_->AbandonUnit(absl::StrCat(i, ".scope"));
  fake_.Return();
  // Behind those that were given up: one connection keeps their order.
  EXPECT_TRUE(Start("a.scope").ok());
  const auto calls = fake_.calls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "StopUnit"), 1024);
}

TEST_F(SdBusTest, ABusyManagerIsNotAskedAboutEachJobAgainAndAgain) {
  const Stopwatch watch;
  StartStuck(20);
  // Other jobs end meanwhile, more often than once in an interval; where the
  // machine was too busy for that, the manager counts as idle.
  double idle = 0;
  double last = watch.Seconds();
  // A lost signal is found all the same: four looks at each.
  for (int i = 0; Looks() < 80 && last < 60; ++i) {
    EXPECT_TRUE(Start("quick" + std::to_string(i) + ".scope").ok());
    const double now = watch.Seconds();
    if (now - last > kInterval / 2) idle += now - last + kInterval;
    last = now;
  }
  const auto looks = static_cast<double>(Looks());
  EXPECT_GE(looks, 80);
  // Each once in four intervals. (In each interval it would be 16 of them.)
  EXPECT_LE(looks, 20 * (watch.Seconds() / (4 * kInterval) + 1) +
                       16 * (idle / kInterval));
  EndStuck();
}

TEST_F(SdBusTest, ManyLateJobsAreLookedAtAFewAtATime) {
  const Stopwatch watch;
  StartStuck(100);
  EXPECT_TRUE(Eventually([&] { return Looks() >= 200; }))
      << "each has its turn";
  const auto looks = static_cast<double>(Looks());
  // 16 in each interval. (All of them would be 100.)
  EXPECT_LE(looks, 16 * (watch.Seconds() / kInterval + 1));
  EndStuck();
}

TEST_F(SdBusTest, AConflictWithAJobUnderWayIsWaitedOut) {
  EXPECT_TRUE(
      StartAfterErrors("org.freedesktop.systemd1.TransactionIsDestructive")
          .ok());
}

TEST_F(SdBusTest, StoppingAndResettingWhatIsMissingIsSuccess) {
  EXPECT_TRUE(bus_->StopUnit("none.scope", In(seconds(60))).ok());
  EXPECT_TRUE(bus_->ResetFailedUnit("none.scope", In(seconds(60))).ok());
  fake_.SetUnit("bad.scope", {"failed", {}});
  EXPECT_TRUE(bus_->ResetFailedUnit("bad.scope", In(seconds(60))).ok());
  EXPECT_TRUE(fake_.units().empty());
}

TEST_F(SdBusTest, ChangesPropertiesUntilTheUnitGoes) {
  const auto set = [this](const char* unit, uint64_t low) {
    return bus_->SetUnitProperties(
        unit, {{"MemoryLow", low}, {"MemoryMin", UINT64_MAX}}, In(seconds(60)));
  };
  ASSERT_TRUE(Start("a.scope").ok());
  EXPECT_TRUE(set("a.scope", 4096).ok());
  auto properties = fake_.units()["a.scope"].properties;
  EXPECT_EQ(properties["MemoryLow"], "t:4096");
  EXPECT_EQ(properties["MemoryMin"], "t:" + std::to_string(UINT64_MAX));
  EXPECT_EQ(properties["Delegate"], "b:1") << "as it was";
  EXPECT_EQ(properties["runtime"], "true");
  EXPECT_TRUE(set("none.scope", 4096).ok()) << "there is nothing to keep";
  FakeSystemd::Faults faults;
  faults.drop_after_calls = 1;
  fake_.SetFaults(faults);
  EXPECT_TRUE(set("a.scope", 8192).ok()) << "sent again";
  EXPECT_EQ(fake_.units()["a.scope"].properties["MemoryLow"], "t:8192");
}

TEST_F(SdBusTest, MalformedTextIsRefused) {
  Expect(bus_->StartTransientUnit("a.scope",
                                  {{"Description", std::string("\xff\xfe")}},
                                  In(seconds(60))),
         absl::StatusCode::kInvalidArgument, "malformed");
}

TEST_F(SdBusTest, TheEndOfTheConnectionEndsItsCalls) {
  FakeSystemd::Faults faults;
  faults.never_reply = true;
  fake_.SetFaults(faults);
  absl::Status result;
  std::thread caller([&] { result = Start("a.scope"); });
  while (fake_.calls().size() < 2) std::this_thread::yield();
  bus_.reset();
  caller.join();
  Expect(result, absl::StatusCode::kUnavailable, "stopping");
}

TEST(SdBusCreateTest, WithoutSystemdNamesTheAddress) {
  SystemdBus::Options options;
  options.addresses = {{"unix:path=/tmp/pn-no-such-socket", true}};
  const auto bus = SystemdBus::Create(options);
  EXPECT_EQ(bus.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(bus.status().message()),
              HasSubstr("/tmp/pn-no-such-socket: sd_bus_start: ENOENT"));
}

}  // namespace
}  // namespace pinion::os
