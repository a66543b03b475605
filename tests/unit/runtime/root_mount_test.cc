#include "runtime/root_mount.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <thread>

#include "absl/synchronization/notification.h"

namespace pinion::runtime {
namespace {

absl::StatusOr<os::UniqueFd> AFile() { return os::UniqueFd(eventfd(0, 0)); }

TEST(RootMountTest, WhatWasMadeIsTakenOnce) {
  RootMount root;
  root.Expect();
  ASSERT_TRUE(root.Make(AFile).ok());
  EXPECT_TRUE(root.Take().valid());
  EXPECT_FALSE(root.Take().valid());
}

TEST(RootMountTest, NothingIsMadeUnexpected) {
  RootMount root;
  bool called = false;
  ASSERT_TRUE(root.Make([&called] {
                    called = true;
                    return AFile();
                  })
                  .ok());
  EXPECT_FALSE(called);
  EXPECT_FALSE(root.Take().valid());
}

TEST(RootMountTest, NothingIsMadeAfterItWasTaken) {
  RootMount root;
  root.Expect();
  EXPECT_FALSE(root.Take().valid());
  bool called = false;
  ASSERT_TRUE(root.Make([&called] {
                    called = true;
                    return AFile();
                  })
                  .ok());
  EXPECT_FALSE(called);
}

TEST(RootMountTest, AFailureLeavesNothing) {
  RootMount root;
  root.Expect();
  EXPECT_TRUE(absl::IsInternal(root.Make([]() -> absl::StatusOr<os::UniqueFd> {
    return absl::InternalError("no");
  })));
  EXPECT_FALSE(root.Take().valid());
}

TEST(RootMountTest, TakingWaitsForWhatHasBegun) {
  RootMount root;
  root.Expect();
  absl::Notification begun;
  absl::Notification go_on;
  std::thread maker([&] {
    (void)root.Make([&] {
      begun.Notify();
      go_on.WaitForNotification();
      return AFile();
    });
  });
  begun.WaitForNotification();
  bool valid = false;
  std::thread taker([&] { valid = root.Take().valid(); });
  go_on.Notify();
  maker.join();
  taker.join();
  EXPECT_TRUE(valid);
}

}  // namespace
}  // namespace pinion::runtime
