// The files in deploy/ pass the checks of the programs that read them.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "os/file.h"
#include "tests/support/run_program.h"

namespace pinion::testing {
namespace {

using ::testing::HasSubstr;

std::string Read(const std::string& path) {
  const auto text = os::ReadFileAt(AT_FDCWD, path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

TEST(DeployTest, PrometheusTakesTheRules) {
  if (!HaveProgram("promtool")) GTEST_SKIP() << "needs promtool";
  const Outcome outcome = RunProgram(
      {"promtool", "check", "rules", "deploy/prometheus/pinion.rules.yml"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("rules found"));
}

TEST(DeployTest, PrometheusTakesTheScrapeConfiguration) {
  if (!HaveProgram("promtool")) GTEST_SKIP() << "needs promtool";
  const Outcome outcome = RunProgram(
      {"promtool", "check", "config", "deploy/prometheus/scrape.yml"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

TEST(DeployTest, SystemdTakesTheUnits) {
  if (!HaveProgram("systemd-analyze")) {
    GTEST_SKIP() << "needs systemd-analyze";
  }
  char directory[] = "/tmp/pn-deploy-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  // As installed: the unit's program must exist for the check.
  const std::string unit = absl::StrCat(directory, "/piniond.service");
  ASSERT_TRUE(os::ReplaceFileAt(
                  AT_FDCWD, unit,
                  absl::StrReplaceAll(Read("deploy/piniond.service"),
                                      {{"/usr/bin/piniond", "/bin/true"}}),
                  0644)
                  .ok());
  const std::string slice = absl::StrCat(directory, "/pinion.slice");
  ASSERT_TRUE(
      os::ReplaceFileAt(AT_FDCWD, slice, Read("deploy/pinion.slice"), 0644)
          .ok());
  const Outcome outcome = RunProgram({"systemd-analyze", "verify", "--man=no",
                                      "--recursive-errors=no", unit, slice});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, "");
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, directory).ok());
}

// By default systemd gives up after five starts within ten seconds, which with
// a pause of one second is soon.
TEST(DeployTest, SystemdNeverGivesUpOnTheDaemon) {
  const std::string unit = Read("deploy/piniond.service");
  EXPECT_NE(unit.find("\nRestart=always\n"), std::string::npos);
  const size_t limit = unit.find("\nStartLimitIntervalSec=0\n");
  ASSERT_NE(limit, std::string::npos);
  EXPECT_LT(limit, unit.find("[Service]")) << "it is an option of [Unit]";
}

TEST(DeployTest, PiniondTakesTheSample) {
  const Outcome outcome = RunProgram({BinaryPath("piniond"), "--config",
                                      "deploy/pinion.toml", "--check-config"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

// An alert on a name that nothing exports never fires.
TEST(DeployTest, RulesUseNamesThatTheSourcesExport) {
  const Outcome names = RunProgram(
      {"grep", "-rhoE", "\"(pinion|process)_[a-z_]+\"", "--include=*.cc", "cri",
       "image", "metrics", "network", "runtime"});
  const std::vector<std::string> exported =
      absl::StrSplit(names.output, '\n', absl::SkipEmpty());
  const std::set<std::string> known(exported.begin(), exported.end());
  const Outcome used =
      RunProgram({"grep", "-oE", "(pinion|process)_[a-z_]+[a-z]",
                  "deploy/prometheus/pinion.rules.yml"});
  int count = 0;
  const std::vector<std::string> words =
      absl::StrSplit(used.output, '\n', absl::SkipEmpty());
  for (const std::string& word : words) {
    ++count;
    const std::string name = absl::StrReplaceAll(word, {{"_bucket", ""}});
    EXPECT_EQ(known.count(absl::StrCat("\"", name, "\"")), 1U) << name;
  }
  EXPECT_GT(count, 8);
}

}  // namespace
}  // namespace pinion::testing
