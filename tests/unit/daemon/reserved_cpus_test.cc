#include "daemon/reserved_cpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_dir.h"

namespace pinion::daemon {
namespace {

using ::testing::HasSubstr;

TEST(ReservedCpusTest, SomeOfThoseThereAreAreFine) {
  EXPECT_EQ(FindReservedProblem(*CpuSet::Parse("0"), *CpuSet::Parse("0-3")),
            std::nullopt);
  EXPECT_EQ(FindReservedProblem(*CpuSet::Parse("0-2"), *CpuSet::Parse("0-3")),
            std::nullopt);
}

TEST(ReservedCpusTest, OnesThatDoNotExistAreNamed) {
  const auto problem =
      FindReservedProblem(*CpuSet::Parse("0,4-5"), *CpuSet::Parse("0-3"));
  ASSERT_TRUE(problem.has_value());
  EXPECT_EQ(problem->text,
            "cpu.reserved = \"0,4-5\" names CPUs that this machine does not "
            "have: 4-5");
  EXPECT_EQ(problem->remedy, "name some of 0-3");
}

TEST(ReservedCpusTest, AllOfThemLeaveNone) {
  const auto problem =
      FindReservedProblem(*CpuSet::Parse("0-3"), *CpuSet::Parse("0-3"));
  ASSERT_TRUE(problem.has_value());
  EXPECT_THAT(problem->text, HasSubstr("none is left for containers"));
  EXPECT_THAT(problem->remedy, HasSubstr("reserve fewer"));
  EXPECT_THAT(
      FindReservedProblem(*CpuSet::Parse("0"), *CpuSet::Parse("0"))->remedy,
      HasSubstr("with one CPU"));
}

TEST(ReservedCpusTest, PresentIsWhatIsPluggedIn) {
  const testing::ScratchDir dir;
  EXPECT_TRUE(absl::IsNotFound(PresentCpus(dir.path()).status()));
  std::filesystem::create_directories(dir.path() + "/cpu");
  std::ofstream(dir.path() + "/cpu/present") << "0-3,8\n";
  std::ofstream(dir.path() + "/cpu/online") << "0-1\n";
  EXPECT_EQ(*PresentCpus(dir.path()), *CpuSet::Parse("0-3,8"));
}

}  // namespace
}  // namespace pinion::daemon
