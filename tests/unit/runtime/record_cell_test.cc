#include "runtime/record_cell.h"

#include <gtest/gtest.h>

#include <chrono>

#include "state.pb.h"
#include "tests/support/wall_clock_step.h"

namespace pinion::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

RecordCell<state::ContainerRecord> Running() {
  state::ContainerRecord record;
  record.set_state(state::CONTAINER_RUNNING);
  return RecordCell<state::ContainerRecord>(record);
}

bool HasExited(const state::ContainerRecord& record) {
  return record.state() == state::CONTAINER_EXITED;
}

// Nobody's grace period ends because ntpd steps the clock by a year.
TEST(RecordCellClockTest, AStepOfTheWallClockMovesNoDeadline) {
  auto cell = Running();
  const auto deadline = steady_clock::now() + milliseconds(200);
  // The deadline is made before the step, the waiting is done after it.
  testing_support::wall_clock_step_seconds = -365 * 24 * 3600;
  EXPECT_FALSE(cell.Await(HasExited, deadline));
  testing_support::wall_clock_step_seconds = 0;
  EXPECT_GE(steady_clock::now(), deadline);
}

}  // namespace
}  // namespace pinion::runtime
