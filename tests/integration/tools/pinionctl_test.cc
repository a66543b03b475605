// pinionctl as a person runs it. Needs root.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/support/run_program.h"

namespace pinion::testing {
namespace {

using ::testing::HasSubstr;

TEST(PinionctlTest, DemoDoesAllOfIt) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const Outcome outcome = RunProgram({BinaryPath("pinionctl"), "demo"}, "",
                                     std::chrono::minutes(5));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  for (const char* line :
       {"PullImage", "RunPodSandbox", "StartContainer",
        "the host reaches the pod", "nothing is left", "All of it works"}) {
    EXPECT_THAT(outcome.output, HasSubstr(line));
  }
}

// Waits until `log` has `text`, bounded; what it has then.
std::string AwaitLog(const BackgroundProgram& program, const char* text) {
  (void)testing_support::Eventually(
      [&] { return program.Log().find(text) != std::string::npos; });
  return program.Log();
}

// Ctrl-C while a pod runs: neither a process nor a cgroup nor a file stays.
TEST(PinionctlTest, AnInterruptedDemoCleansUp) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string log;
  int exit_code = 0;
  pid_t pid = 0;
  // One that was over before it could be interrupted proves nothing.
  for (int i = 0; i < 5 && exit_code == 0; ++i) {
    char file[] = "/tmp/pn-demo-log-XXXXXX";
    close(mkstemp(file));
    BackgroundProgram demo({BinaryPath("pinionctl"), "demo"}, {}, file);
    pid = demo.pid();
    ASSERT_THAT(AwaitLog(demo, "StartContainer "),
                HasSubstr("StartContainer "));
    demo.Signal(SIGINT);
    exit_code = demo.Await(std::chrono::minutes(2));
    log = demo.Log();
    std::filesystem::remove(file);
  }
  EXPECT_EQ(exit_code, 1) << log;
  EXPECT_THAT(log, HasSubstr("pinionctl: interrupted"));

  const size_t begin = log.find("/tmp/pinion-demo-");
  ASSERT_NE(begin, std::string::npos) << log;
  const std::string scratch = log.substr(begin, log.find(',', begin) - begin);
  EXPECT_FALSE(std::filesystem::exists(scratch));
  const std::string cgroup = "/pn-demo-" + std::to_string(pid);
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    EXPECT_FALSE(std::filesystem::exists(root + cgroup));
  }
  // The daemon and the registry name their files. Whoever was killed dies when
  // it has its turn.
  std::string left;
  EXPECT_TRUE(testing_support::Eventually([&] {
    left.clear();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream stream(entry.path() / "cmdline");
      const std::string words((std::istreambuf_iterator<char>(stream)),
                              std::istreambuf_iterator<char>());
      if (words.find(scratch) != std::string::npos) left = words;
    }
    return left.empty();
  })) << left;
}

TEST(PinionctlTest, DoctorSpeaksJson) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const Outcome outcome =
      RunProgram({BinaryPath("pinionctl"), "doctor", "--json"}, "",
                 std::chrono::minutes(5));
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

TEST(PinionctlTest, OutputThatCannotBeWrittenIsAnError) {
  const std::string pinionctl = BinaryPath("pinionctl");
  for (const char* command : {"help", "--version", "--help"}) {
    const Outcome full = RunProgram(
        {"sh", "-c", "\"$0\" \"$1\" >/dev/full", pinionctl, command});
    EXPECT_EQ(full.exit_code, 1) << command;
    EXPECT_EQ(full.output, "pinionctl: write standard output: ENOSPC\n");
    const Outcome closed =
        RunProgram({"sh", "-c", "\"$0\" \"$1\" >&-", pinionctl, command});
    EXPECT_EQ(closed.exit_code, 1) << command;
    EXPECT_EQ(closed.output, "pinionctl: write standard output: EBADF\n");
  }
  // Its own code stays.
  const Outcome usage =
      RunProgram({"sh", "-c", "\"$0\" >/dev/full", pinionctl});
  EXPECT_EQ(usage.exit_code, 2);
}

TEST(PinionctlTest, SaysThatNobodyServes) {
  const Outcome outcome = RunProgram({BinaryPath("pinionctl"), "--socket",
                                      "/nonexistent/sock", "timeline", "abc"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output,
              HasSubstr("piniond does not answer on /nonexistent/sock"));
}

// What a person does first: run it without sudo.
TEST(PinionctlTest, SaysThatThereIsNoState) {
  const Outcome outcome = RunProgram(
      {BinaryPath("pinionctl"), "--state", "/nonexistent/pinion", "ips"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("no directory /nonexistent/pinion"));
}

TEST(PinionctlTest, SaysThatPermissionIsMissing) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become nobody";
  char directory[] = "/tmp/pn-pinionctl-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string dir = directory;
  // Where nobody can reach it: the build may be in somebody's home.
  const std::string program = dir + "/pinionctl";
  std::filesystem::copy_file(BinaryPath("pinionctl"), program);
  std::filesystem::create_directory(dir + "/state");
  ASSERT_EQ(chmod(directory, 0755), 0);
  ASSERT_EQ(chmod((dir + "/state").c_str(), 0700), 0);
  const std::string socket = dir + "/state/pinion.sock";
  const Outcome outcome =
      RunProgram({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                  program, "--socket", socket, "timeline", "abc"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("no permission to use " + socket));
  std::filesystem::remove_all(dir);
}

TEST(PinionctlTest, ImportOfAMissingFile) {
  const Outcome outcome = RunProgram(
      {BinaryPath("pinionctl"), "image", "import", "/nonexistent/file.tar"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("/nonexistent/file.tar: no such file"));
}

}  // namespace
}  // namespace pinion::testing
