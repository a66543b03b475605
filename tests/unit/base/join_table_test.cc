#include "base/join_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion {
namespace {

TEST(JoinTableTest, CallsAtTheSameTimeShareOneOperation) {
  JoinTable<absl::StatusOr<std::string>> table;
  std::promise<void> entered;
  std::promise<void> leave;
  std::shared_future<void> left = leave.get_future().share();
  std::atomic<int> runs = 0;
  const auto operation = [&]() -> absl::StatusOr<std::string> {
    if (++runs == 1) entered.set_value();
    left.wait();
    return "result";
  };
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  std::atomic<int> asking = 0;
  const auto ask = [&] {
    ++asking;
    const auto result = table.Run("key", operation);
    if (result.ok() && *result == "result") ++same;
  };
  threads.emplace_back(ask);
  entered.get_future().wait();
  for (int i = 0; i < 99; ++i) threads.emplace_back(ask);
  while (asking < 100) std::this_thread::yield();
  leave.set_value();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(same, 100);
  // A caller may arrive after the first flight has landed; most must not.
  EXPECT_LE(runs, 100);
  EXPECT_GE(runs, 1);
}

TEST(JoinTableTest, JoinersGetTheErrorTooAndTheKeyIsFreeAgain) {
  JoinTable<absl::Status> table;
  EXPECT_EQ(table.Run("k", [] { return absl::InternalError("x"); }).message(),
            "x");
  EXPECT_TRUE(table.Run("k", [] { return absl::OkStatus(); }).ok());
}

TEST(JoinTableTest, OtherKeysDoNotWait) {
  JoinTable<absl::Status> table;
  const absl::Status outer = table.Run("a", [&table] {
    return table.Run("b", [] { return absl::OkStatus(); });
  });
  EXPECT_TRUE(outer.ok());
}

}  // namespace
}  // namespace pinion
