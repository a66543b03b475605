// pinionctl top against a real daemon, also on a terminal: a pseudo-terminal
// that the test types on and reads.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "admin.pb.h"
#include "os/unique_fd.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/run_program.h"

namespace pinion::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// pinionctl with a terminal of 80 by 24 as its standard streams.
class OnTerminal {
 public:
  explicit OnTerminal(const std::vector<std::string>& words) {
    int terminal = -1;
    int shell = -1;
    const winsize size = {24, 80, 0, 0};
    EXPECT_EQ(openpty(&terminal, &shell, nullptr, nullptr, &size), 0);
    terminal_ = os::UniqueFd(terminal);
    shell_ = os::UniqueFd(shell);
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    tcgetattr(shell, &mode_);
    std::vector<char*> argv;
    for (const std::string& word : words) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      login_tty(shell);
      setenv("NO_COLOR", "1", 1);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~OnTerminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  // Reads until `text` has come since the last call; false after a minute.
  bool Await(const std::string& text) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::minutes(1);
    const size_t begin = seen_.size();
    while (seen_.find(text, begin) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline || !Read()) return false;
    }
    return true;
  }
  void Type(const std::string& keys) {
    EXPECT_EQ(write(terminal_.get(), keys.data(), keys.size()),
              static_cast<ssize_t>(keys.size()));
  }
  // Of its end; 128 + signal.
  int Exit() {
    int status = 0;
    // Read meanwhile: it may be about to write more than the terminal holds.
    pid_t ended = 0;
    EXPECT_TRUE(testing_support::Eventually([&] {
      (void)Read(0);
      ended = waitpid(pid_, &status, WNOHANG);
      return ended != 0;
    }));
    if (ended != pid_) return -1;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // What it wrote last: the kernel hands it on behind the writer's back.
  bool EndsWith(const std::string& text) {
    return testing_support::Eventually([&] {
      while (Read(0)) {
      }
      return seen_.size() >= text.size() &&
             seen_.compare(seen_.size() - text.size(), text.size(), text) == 0;
    });
  }
  bool IsAsItWas() const {
    termios now = {};
    tcgetattr(shell_.get(), &now);
    return now.c_lflag == mode_.c_lflag && now.c_iflag == mode_.c_iflag &&
           std::memcmp(now.c_cc, mode_.c_cc, sizeof(now.c_cc)) == 0;
  }
  const std::string& seen() const { return seen_; }
  pid_t pid() const { return pid_; }

 private:
  bool Read(int timeout_ms = 60'000) {
    pollfd wait = {terminal_.get(), POLLIN, 0};
    if (poll(&wait, 1, timeout_ms) <= 0) return false;
    char buffer[4096];
    const ssize_t n = read(terminal_.get(), buffer, sizeof(buffer));
    if (n > 0) seen_.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }

  os::UniqueFd terminal_;
  // Kept open, so that the mode can be looked at afterwards.
  os::UniqueFd shell_;
  termios mode_ = {};
  pid_t pid_ = -1;
  std::string seen_;
};

class TopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto busy = bed_.PodConfig("busy");
    busy_ = bed_.RunPod(busy);
    bed_.RunContainer(
        busy_, busy,
        bed_.ContainerConfig("burner", {"sh", "-c", "while :; do :; done"}));
    auto idle = bed_.PodConfig("idle");
    idle_ = bed_.RunPod(idle);
    bed_.RunContainer(idle_, idle,
                      bed_.ContainerConfig("sleeper", {"sleep", "1000"}));
  }

  std::vector<std::string> Words(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {BinaryPath("pinionctl"), "--socket",
                                      bed_.socket(), "top"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // What the busy pod has used of the CPUs so far.
  double CpuSeconds() {
    admin::v1::PodUsageResponse response;
    const absl::Status status =
        bed_.client().Call(admin::v1::PodUsageRequest(), &response);
    EXPECT_TRUE(status.ok()) << status;
    for (const auto& pod : response.pods()) {
      if (pod.id() != busy_) continue;
      return static_cast<double>(pod.usage().cpu_usage_us()) / 1e6;
    }
    ADD_FAILURE() << "no pod " << busy_;
    return 0;
  }

  DaemonBed bed_;
  std::string busy_;
  std::string idle_;
};

TEST_F(TopTest, JsonHasTheKernelsNumbers) {
  Outcome outcome;
  double used = 0;
  nlohmann::json root;
  // Again while the machine is too busy for the one that burns a CPU: a
  // fraction instead of a percentage is never more than 5.
  EXPECT_TRUE(testing_support::Eventually([&] {
    const double before = CpuSeconds();
    outcome = RunProgram(Words({"--json"}));
    used = CpuSeconds() - before;
    root = nlohmann::json::parse(outcome.output, nullptr, false);
    // What is wrong with it is said below.
    if (!root.is_object() || root["pods"].size() != 2) return true;
    const double percent = root["pods"][0]["cpu"]["percent"].get<double>();
    EXPECT_LE(percent, used * 100 + 0.1);
    return percent > 5.0;
  })) << outcome.output;
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  ASSERT_TRUE(root.is_object()) << outcome.output;
  // pinionctl slept as long between the two answers.
  EXPECT_GE(root["seconds"], 1.0);
  ASSERT_EQ(root["pods"].size(), 2U);
  // The one that burns a CPU comes first, however busy the machine is.
  const auto& busy = root["pods"][0];
  EXPECT_EQ(busy["id"], busy_);
  // Over a second at least, and within the time of which we know.
  const auto& burner = busy["containers"][0];
  for (const auto& row : {busy, burner}) {
    EXPECT_GT(row["cpu"]["percent"], 1.0);
    EXPECT_LE(row["cpu"]["percent"].get<double>(), used * 100 + 0.1);
  }
  EXPECT_EQ(busy["containers"][0]["name"], "burner");
  const auto& idle = root["pods"][1];
  EXPECT_EQ(idle["name"], "idle");
  EXPECT_LT(idle["cpu"]["percent"].get<double>(),
            busy["cpu"]["percent"].get<double>());
  // The monitor and the sleeper.
  EXPECT_EQ(idle["pids"], 2);
}

TEST_F(TopTest, OneTableWithoutATerminal) {
  const Outcome outcome =
      RunProgram(Words({"--interval", "0.2", "-c", "--sort", "name"}));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("2 pods, 2 containers, by name"));
  EXPECT_THAT(outcome.output, HasSubstr("/busy "));
  EXPECT_THAT(outcome.output, HasSubstr("  sleeper "));
  EXPECT_THAT(outcome.output, Not(HasSubstr("\033")));

  const Outcome one =
      RunProgram(Words({idle_.substr(0, 12), "--interval=0.1"}));
  EXPECT_THAT(one.output, HasSubstr("1 pod, 1 container"));
  const Outcome named =
      RunProgram(Words({"test/idle", "--interval=0.1", "-c"}));
  EXPECT_EQ(named.exit_code, 0) << named.output;
  EXPECT_THAT(named.output, HasSubstr("1 pod, 1 container"));
  EXPECT_THAT(named.output, HasSubstr("  sleeper "));
  EXPECT_EQ(RunProgram(Words({"test/nobody"})).exit_code, 1);
  EXPECT_EQ(RunProgram({BinaryPath("pinionctl"), "--socket", bed_.socket(),
                        "timeline", "test/idle"})
                .exit_code,
            0);
  const Outcome none = RunProgram(Words({std::string(64, '0')}));
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.output, HasSubstr("pinionctl: "));
  EXPECT_EQ(RunProgram(Words({"--sort", "size"})).exit_code, 2);
  EXPECT_EQ(RunProgram(Words({"--interval", "0"})).exit_code, 2);
}

TEST_F(TopTest, TheScreenFollowsAndIsGivenBack) {
  OnTerminal top(Words({"--interval", "0.2"}));
  ASSERT_TRUE(top.Await("/busy")) << top.seen();
  EXPECT_THAT(top.seen(), HasSubstr("\033[?1049h"));
  EXPECT_FALSE(top.IsAsItWas());
  ASSERT_TRUE(top.Await(", over ")) << "a second sample: " << top.seen();
  EXPECT_THAT(top.seen(), Not(HasSubstr("burner")));
  top.Type("c");
  EXPECT_TRUE(top.Await("  burner")) << top.seen();
  top.Type("s");
  EXPECT_TRUE(top.Await("by memory")) << top.seen();
  // A pod that goes is gone from the next picture.
  ASSERT_TRUE(bed_.StopPod(idle_).ok());
  EXPECT_TRUE(top.Await("1 pod, 1 container")) << top.seen();
  top.Type("q");
  EXPECT_EQ(top.Exit(), 0);
  EXPECT_TRUE(top.EndsWith("\033[?25h\033[?1049l")) << top.seen();
  EXPECT_TRUE(top.IsAsItWas());
}

TEST_F(TopTest, CtrlCAndADaemonThatGoes) {
  OnTerminal top(Words({"--interval", "0.2"}));
  ASSERT_TRUE(top.Await(", over ")) << top.seen();
  bed_.Kill();
  EXPECT_TRUE(top.Await("piniond does not answer")) << top.seen();
  EXPECT_TRUE(top.Await("/busy")) << "the last picture stays: " << top.seen();
  bed_.Start();
  EXPECT_TRUE(top.Await("q ends")) << top.seen();
  top.Type("\x03");
  EXPECT_EQ(top.Exit(), 0);
  EXPECT_TRUE(top.EndsWith("\033[?25h\033[?1049l")) << top.seen();
  EXPECT_TRUE(top.IsAsItWas());
}

}  // namespace
}  // namespace pinion::testing
