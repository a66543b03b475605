#include "runtime/record_cell.h"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <atomic>
#include <chrono>
#include <ctime>

#include "state.pb.h"

namespace {

std::atomic<time_t> step_seconds{0};

}  // namespace

// Instead of libc's: a wall clock that a test can step, for whoever makes a
// deadline of it.
extern "C" int gettimeofday(timeval* now, void* /*zone*/) {
  timespec real = {};
  clock_gettime(CLOCK_REALTIME, &real);
  now->tv_sec = real.tv_sec + step_seconds.load();
  now->tv_usec = real.tv_nsec / 1000;
  return 0;
}

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
  step_seconds = -365 * 24 * 3600;
  EXPECT_FALSE(cell.Await(HasExited, deadline));
  step_seconds = 0;
  EXPECT_GE(steady_clock::now(), deadline);
}

}  // namespace
}  // namespace pinion::runtime
