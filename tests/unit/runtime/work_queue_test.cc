#include "runtime/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>

namespace pinion::runtime {
namespace {

TEST(WorkQueueTest, CloseRunsWhatIsQueuedAndDropsWhatComesLater) {
  std::atomic<int> done = 0;
  WorkQueue queue(2);
  for (int i = 0; i < 100; ++i) queue.Add([&done] { ++done; });
  queue.Close();
  EXPECT_EQ(done, 100);
  queue.Add([&done] { ++done; });
  queue.Close();
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace pinion::runtime
