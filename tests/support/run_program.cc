#include "tests/support/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "os/unique_fd.h"

namespace pinion::testing {
namespace {

pid_t Start(const std::vector<std::string>& words,
            const std::vector<std::string>& env, int in, int out) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (in >= 0) dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  for (const std::string& item : env) putenv(const_cast<char*>(item.c_str()));
  std::vector<char*> argv;
  for (const std::string& word : words) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

// Waits on a pidfd, so that the time-out needs no polling.
int AwaitExit(pid_t pid, std::chrono::milliseconds timeout) {
  const os::UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended = {pidfd.get(), POLLIN, 0};
  const bool in_time = poll(&ended, 1, static_cast<int>(timeout.count())) == 1;
  if (!in_time) kill(pid, SIGKILL);
  int how = 0;
  waitpid(pid, &how, 0);
  if (!in_time) return -1;
  return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

Outcome RunProgram(const std::vector<std::string>& words,
                   const std::string& input, std::chrono::seconds timeout) {
  char in_name[] = "/tmp/pn-run-in-XXXXXX";
  char out_name[] = "/tmp/pn-run-out-XXXXXX";
  const os::UniqueFd in(mkostemp(in_name, O_CLOEXEC));
  const os::UniqueFd out(mkostemp(out_name, O_CLOEXEC));
  EXPECT_EQ(write(in.get(), input.data(), input.size()),
            static_cast<ssize_t>(input.size()));
  lseek(in.get(), 0, SEEK_SET);
  Outcome outcome;
  outcome.exit_code = AwaitExit(Start(words, {}, in.get(), out.get()), timeout);
  outcome.output = ReadAll(out_name);
  unlink(in_name);
  unlink(out_name);
  return outcome;
}

BackgroundProgram::BackgroundProgram(const std::vector<std::string>& words,
                                     const std::vector<std::string>& env,
                                     const std::string& log)
    : log_(log) {
  const os::UniqueFd out(
      open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = Start(words, env, -1, out.get());
}

BackgroundProgram::~BackgroundProgram() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void BackgroundProgram::Signal(int signal) const {
  EXPECT_GE(pid_, 0);
  kill(pid_, signal);
}

int BackgroundProgram::Await(std::chrono::seconds timeout) {
  const int code = AwaitExit(pid_, timeout);
  pid_ = -1;
  return code;
}

std::string BackgroundProgram::Log() const { return ReadAll(log_); }

std::string BinaryPath(const std::string& name) {
  const char* directory = getenv("PINION_BIN");
  return std::string(directory != nullptr ? directory : "build/bin") + "/" +
         name;
}

bool HaveProgram(const std::string& name) {
  std::istringstream path(getenv("PATH"));
  std::string directory;
  while (std::getline(path, directory, ':')) {
    if (access((directory + "/" + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace pinion::testing
