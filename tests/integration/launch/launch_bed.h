// A scratch rootfs (busybox in a layer directory) and a way to run plans in
// it as the monitor would: this process is single-threaded and root.

#ifndef PINION_TESTS_INTEGRATION_LAUNCH_LAUNCH_BED_H_
#define PINION_TESTS_INTEGRATION_LAUNCH_LAUNCH_BED_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "os/unique_fd.h"
#include "runtime/launch/launch.h"
#include "runtime/launch/launch_spec.h"
#include "runtime/launch/plan_writer.h"

namespace pinion::launch {

// For a field of LaunchFds: Start makes no pipe for it.
inline constexpr int kNoStream = -2;

struct Outcome {
  bool started = false;  // exec'ed
  Failure failure;       // when not
  std::string step;      // StepName of it
  int exit_code = -1;    // 128 + signal when killed
  std::string out;
  std::string err;
};

// A started process with pipes for its stdio.
class Process {
 public:
  Process(Launched launched, os::UniqueFd in, os::UniqueFd out,
          os::UniqueFd err);
  Process(Process&&) = default;
  Process& operator=(Process&&) = default;
  ~Process();

  pid_t pid() const { return launched_.pid; }
  uint64_t start_ticks() const;
  int console_socket() const { return console_.get(); }
  // Until it has exec'ed; false with *failure if it could not.
  bool WaitExec(Failure* failure);
  // A line of its standard output, without the newline.
  std::string ReadLine();
  void CloseStdin() { in_.Reset(); }
  // Closes stdin, reads both streams to their ends, reaps.
  Outcome Finish();
  void Kill(int signal);

 private:
  Launched launched_;
  os::UniqueFd in_, out_, err_, report_, console_, pidfd_;
  bool reaped_ = false;
};

// Every test runs in a mount namespace of this process's own, made once, in
// which only the bed's directory is shared: the machine's is never touched.
class LaunchTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A container of the busybox layer with an upper of its own, as the daemon
  // would make it: default mounts, devices, masks and capabilities.
  LaunchSpec Container(const std::vector<std::string>& argv);
  // A container that runs `script` with sh.
  LaunchSpec Shell(const std::string& script);
  LaunchSpec ExecIn(const Process& container,
                    const std::vector<std::string>& argv);

  // Whether Start mounts the containers' roots by itself, as the daemon does,
  // or leaves it to the process: every test runs both ways.
  static bool RootsAhead();
  Process Start(const LaunchSpec& spec, LaunchFds fds = {});
  Outcome Run(const LaunchSpec& spec, LaunchFds fds = {});

  // The layer's directory on the host, and the bed's.
  std::string layer() const { return dir_ + "/layers/1"; }
  const std::string& dir() const { return dir_; }
  // Host file of the last Container()'s upper directory.
  std::string upper() const { return dir_ + "/" + last_upper_; }
  void WriteFile(const std::string& path, const std::string& text);
  std::string ReadFile(const std::string& path);

 private:
  os::UniqueFd MountAhead(const LaunchSpec& spec);

  std::string dir_;
  std::string last_upper_;
  int containers_ = 0;
  std::string mountinfo_;
};

}  // namespace pinion::launch

#endif  // PINION_TESTS_INTEGRATION_LAUNCH_LAUNCH_BED_H_
