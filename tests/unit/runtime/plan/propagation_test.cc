#include "runtime/plan/propagation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using launch::Propagation;
using testing::HasSubstr;

constexpr char kMountinfo[] =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw\n"
    "30 22 0:5 / /private rw,relatime - tmpfs tmpfs rw\n"
    "31 30 0:6 / /private/shared rw shared:7 - tmpfs tmpfs rw\n"
    "32 22 0:7 / /slave rw master:3 - tmpfs tmpfs rw\n"
    "33 22 0:8 / /with\\040blank rw - tmpfs tmpfs rw\n"
    "34 22 0:9 / /over rw shared:9 - tmpfs tmpfs rw\n"
    "35 34 0:10 / /over rw - tmpfs tmpfs rw\n";

absl::Status Check(const std::string& source, Propagation propagation) {
  return CheckPropagationIn(kMountinfo, source, propagation);
}

TEST(PropagationTest, SharedNeedsASharedMount) {
  EXPECT_TRUE(Check("/data", Propagation::kShared).ok());
  EXPECT_TRUE(Check("/private/shared/x", Propagation::kShared).ok());
  EXPECT_TRUE(Check("/privateer", Propagation::kShared).ok());
  for (const char* path :
       {"/private", "/private/sharedx", "/slave/x", "/with blank/x", "/over"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(Check(path, Propagation::kShared)))
        << path;
  }
  EXPECT_THAT(Check("/private/x", Propagation::kShared).message(),
              HasSubstr("on /private,"));
}

TEST(PropagationTest, SlaveTakesSharedOrSlave) {
  EXPECT_TRUE(Check("/data", Propagation::kSlave).ok());
  EXPECT_TRUE(Check("/slave/x", Propagation::kSlave).ok());
  EXPECT_FALSE(Check("/private/x", Propagation::kSlave).ok());
}

TEST(PropagationTest, PrivateTakesAll) {
  EXPECT_TRUE(Check("/private", Propagation::kPrivate).ok());
}

TEST(PropagationTest, AsksTheKernel) {
  EXPECT_TRUE(absl::IsNotFound(
      CheckPropagation("/nonexistent/x", Propagation::kShared)));
  EXPECT_TRUE(CheckPropagation("/proc", Propagation::kPrivate).ok());
}

}  // namespace
}  // namespace pinion::plan
