// The connection's own promises, against a systemd that fails on demand.

#include "os/sd_bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

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
  SdBusTest() {
    SystemdBus::Options options;
    options.addresses = {{fake_.address(), /*is_bus=*/false}};
    options.check_interval = milliseconds(50);
    bus_ = *SystemdBus::Create(options);
  }

  absl::Status Start(const std::string& name,
                     milliseconds timeout = seconds(9)) {
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

  FakeSystemd fake_;
  std::unique_ptr<SystemdBus> bus_;
};

TEST_F(SdBusTest, StartsAUnitWithItsProperties) {
  const absl::Status status =
      bus_->StartTransientUnit("a.scope",
                               {{"Description", std::string("a pod")},
                                {"PIDs", std::vector<uint32_t>{7, 8}},
                                {"Delegate", true},
                                {"TasksMax", UINT64_MAX}},
                               In(seconds(5)));
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
  EXPECT_TRUE(bus_->StopUnit("a.scope", In(seconds(5))).ok());
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
  EXPECT_TRUE(bus_->StopUnit("a.scope", In(seconds(5))).ok());
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
  Expect(Start("stuck.scope", milliseconds(100)),
         absl::StatusCode::kDeadlineExceeded,
         "StartTransientUnit stuck.scope: its job is still queued or running");
  EXPECT_EQ(fake_.units().size(), 1U);
  bus_->AbandonUnit("stuck.scope");
  EXPECT_TRUE(Eventually([this] { return fake_.units().empty(); }));
}

TEST_F(SdBusTest, AGivenUpStartIsTakenBackAfterAnOutageToo) {
  FakeSystemd::Faults faults;
  faults.stuck_prefix = "stuck";
  fake_.SetFaults(faults);
  EXPECT_FALSE(Start("stuck.scope", milliseconds(100)).ok());
  fake_.GoAway();
  bus_->AbandonUnit("stuck.scope");
  fake_.Return();
  EXPECT_TRUE(Eventually([this] { return fake_.units().empty(); }));
  EXPECT_TRUE(Start("a.scope").ok());
}

TEST_F(SdBusTest, ABusyManagerIsNotAskedAboutEachJobAgainAndAgain) {
  FakeSystemd::Faults faults;
  faults.stuck_prefix = "stuck";
  fake_.SetFaults(faults);
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([this, i] {
      EXPECT_FALSE(
          Start("stuck" + std::to_string(i) + ".scope", milliseconds(700))
              .ok());
    });
  }
  // Other jobs end meanwhile: 14 intervals long.
  const auto end = std::chrono::steady_clock::now() + milliseconds(700);
  for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
    EXPECT_TRUE(Start("quick" + std::to_string(i) + ".scope").ok());
  }
  for (auto& thread : threads) thread.join();
  const auto calls = fake_.calls();
  const auto looks = std::count(calls.begin(), calls.end(), "GetAll");
  EXPECT_GE(looks, 20) << "a lost signal is found all the same";
  // Once in four intervals each would be 70, once in each 280.
  EXPECT_LE(looks, 150);
}

TEST_F(SdBusTest, ManyLateJobsAreLookedAtAFewAtATime) {
  FakeSystemd::Faults faults;
  faults.stuck_prefix = "stuck";
  fake_.SetFaults(faults);
  const Stopwatch watch;
  std::vector<std::thread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([this, i] {
      EXPECT_FALSE(
          Start("stuck" + std::to_string(i) + ".scope", milliseconds(1000))
              .ok());
    });
  }
  for (auto& thread : threads) thread.join();
  const auto calls = fake_.calls();
  const auto looks = std::count(calls.begin(), calls.end(), "GetAll");
  EXPECT_GE(looks, 100) << "each has its turn";
  // 16 in each interval of 50 ms; all of them would be 100.
  EXPECT_LE(static_cast<double>(looks), 16 * (watch.Seconds() / 0.05 + 1));
}

TEST_F(SdBusTest, AConflictWithAJobUnderWayIsWaitedOut) {
  EXPECT_TRUE(
      StartAfterErrors("org.freedesktop.systemd1.TransactionIsDestructive")
          .ok());
}

TEST_F(SdBusTest, StoppingAndResettingWhatIsMissingIsSuccess) {
  EXPECT_TRUE(bus_->StopUnit("none.scope", In(seconds(5))).ok());
  EXPECT_TRUE(bus_->ResetFailedUnit("none.scope", In(seconds(5))).ok());
  fake_.SetUnit("bad.scope", {"failed", {}});
  EXPECT_TRUE(bus_->ResetFailedUnit("bad.scope", In(seconds(5))).ok());
  EXPECT_TRUE(fake_.units().empty());
}

TEST_F(SdBusTest, MalformedTextIsRefused) {
  Expect(bus_->StartTransientUnit("a.scope",
                                  {{"Description", std::string("\xff\xfe")}},
                                  In(seconds(5))),
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
