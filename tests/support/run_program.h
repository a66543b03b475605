// Runs programs as a person would: arguments in, exit code and output back.
//
// Not thread-safe (it forks).

#ifndef PINION_TESTS_SUPPORT_RUN_PROGRAM_H_
#define PINION_TESTS_SUPPORT_RUN_PROGRAM_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace pinion::testing {

struct Outcome {
  // 128 + signal if it was killed; -1 if it ran out of time (and was killed).
  int exit_code = -1;
  std::string output;  // standard output and standard error
};

// `input` is its standard input. PATH is searched.
Outcome RunProgram(const std::vector<std::string>& words,
                   const std::string& input = "",
                   std::chrono::seconds timeout = std::chrono::seconds(300));

// A program in the background that dies with this process.
class BackgroundProgram {
 public:
  // `env` is added to this process's environment; output goes to `log`.
  BackgroundProgram(const std::vector<std::string>& words,
                    const std::vector<std::string>& env,
                    const std::string& log);
  // SIGKILL, if it still runs.
  ~BackgroundProgram();

  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // The exit code, as in Outcome; SIGKILL after `timeout`.
  int Await(std::chrono::seconds timeout = std::chrono::seconds(300));
  std::string Log() const;

 private:
  const std::string log_;
  pid_t pid_ = -1;
};

// Where the build put the programs.
std::string BinaryPath(const std::string& name);

// Whether a program is on the PATH.
bool HaveProgram(const std::string& name);

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_RUN_PROGRAM_H_
