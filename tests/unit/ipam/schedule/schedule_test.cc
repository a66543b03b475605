// Every schedule of three threads with up to three preemptions (or two and a
// kill), for the slot protocol and for mutants of it.

#include <gtest/gtest.h>

#include <iostream>

#include "tests/unit/ipam/schedule/mutants.h"  // made at build time
#include "tests/unit/ipam/schedule/scenarios.h"

namespace pinion::ipam::schedule {
namespace {

class ScheduleTest : public testing::TestWithParam<Scenario<RealProtocol>> {};

TEST_P(ScheduleTest, HoldsUnderEverySchedule) {
  const Outcome outcome = Explore(GetParam());
  EXPECT_EQ(outcome.failure, "") << "after " << outcome.schedules;
  EXPECT_GT(outcome.schedules, 500u);
  std::cout << GetParam().name << ": " << outcome.schedules << " schedules\n";
}

INSTANTIATE_TEST_SUITE_P(All, ScheduleTest,
                         testing::ValuesIn(Scenarios<RealProtocol>()),
                         [](const auto& scenario) {
                           return scenario.param.name;
                         });

template <class Mutant>
class MutantTest : public testing::Test {};

struct MutantNames {
  template <class Mutant>
  static std::string GetName(int) {
    return Mutant::kName;
  }
};

TYPED_TEST_SUITE(MutantTest, Mutants, MutantNames);

TYPED_TEST(MutantTest, IsCaught) {
  // What few preemptions show is found sooner with few.
  for (int fewer = 2; fewer >= 0; --fewer) {
    for (auto scenario : Scenarios<TypeParam>()) {
      scenario.limits.preemptions -= fewer;
      const Outcome outcome = Explore(scenario);
      if (outcome.failure.empty()) continue;
      std::cout << TypeParam::kName << ": " << scenario.name << ", "
                << scenario.limits.preemptions << " preemptions, schedule "
                << outcome.schedules << ": " << outcome.failure << "\n";
      return;
    }
  }
  FAIL() << TypeParam::kName << " behaves like the real protocol";
}

}  // namespace
}  // namespace pinion::ipam::schedule
