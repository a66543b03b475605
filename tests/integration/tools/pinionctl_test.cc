// pinionctl as a person runs it. Needs root.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/run_program.h"

namespace pinion::testing {
namespace {

using ::testing::HasSubstr;

TEST(PinionctlTest, DemoDoesAllOfIt) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const Outcome outcome = RunProgram({BinaryPath("pinionctl"), "demo"}, "",
                                     std::chrono::seconds(180));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  for (const char* line :
       {"PullImage", "RunPodSandbox", "StartContainer",
        "the host reaches the pod", "nothing is left", "All of it works"}) {
    EXPECT_THAT(outcome.output, HasSubstr(line));
  }
}

TEST(PinionctlTest, DoctorSpeaksJson) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const Outcome outcome =
      RunProgram({BinaryPath("pinionctl"), "doctor", "--json"});
  const auto findings =
      nlohmann::json::parse(outcome.output, nullptr, /*exceptions=*/false);
  ASSERT_TRUE(findings.is_array()) << outcome.output;
  EXPECT_GE(findings.size(), 10U);
  bool fails = false;
  for (const auto& finding : findings) {
    fails = fails || finding["verdict"] == "FAIL";
  }
  EXPECT_EQ(outcome.exit_code, fails ? 1 : 0);
}

TEST(PinionctlTest, TellsWhatItDoesNotUnderstand) {
  const Outcome command = RunProgram({BinaryPath("pinionctl"), "dance"});
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_THAT(command.output, HasSubstr("unknown command dance"));
  const Outcome usage = RunProgram({BinaryPath("pinionctl"), "timeline"});
  EXPECT_EQ(usage.exit_code, 2);
  EXPECT_THAT(usage.output, HasSubstr("usage: pinionctl timeline POD"));
}

TEST(PinionctlTest, SaysThatNobodyServes) {
  const Outcome outcome = RunProgram({BinaryPath("pinionctl"), "--socket",
                                      "/nonexistent/sock", "timeline", "abc"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output,
              HasSubstr("piniond does not answer on /nonexistent/sock"));
}

TEST(PinionctlTest, ImportOfAMissingFile) {
  const Outcome outcome = RunProgram(
      {BinaryPath("pinionctl"), "image", "import", "/nonexistent/file.tar"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("/nonexistent/file.tar: no such file"));
}

}  // namespace
}  // namespace pinion::testing
