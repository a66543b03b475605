// Real monitors with real containers: a scratch pod directory, a busybox
// layer, a cgroup, and a record of what the callbacks said. Needs root.

#ifndef PINION_TESTS_INTEGRATION_MONITOR_MONITOR_BED_H_
#define PINION_TESTS_INTEGRATION_MONITOR_MONITOR_BED_H_

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "os/reactor.h"
#include "os/unique_fd.h"
#include "runtime/launch/launch_spec.h"
#include "runtime/monitor/client.h"
#include "runtime/plan/rootfs_defaults.h"
#include "tests/support/eventually.h"
#include "tests/support/invariant.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::monitor {

using testing_support::Eventually;

// Nanoseconds since the epoch; not time(2), whose clock is behind by up to a
// tick.
inline int64_t WallNanos() {
  return std::chrono::nanoseconds(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Thread-safe: what a MonitorClient's callbacks said.
class Events {
 public:
  Callbacks MakeCallbacks();
  // The exit of `id`, waiting at most a minute; a test failure if it
  // does not come.
  ExitRecord WaitExit(const std::string& id);
  // Waits at most a minute.
  bool WaitLost();
  // How often an exit of `id` was reported.
  size_t CountExits(const std::string& id);
  std::vector<ExitRecord> init_exits();
  size_t lost();
  void Clear();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ExitRecord> exits_;
  std::vector<ExitRecord> init_exits_;
  size_t lost_ = 0;
};

class MonitorTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  MonitorClient::Deadline Soon() const {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
  }

  // A monitor, connected.
  void StartMonitor();
  // The same with its sandbox set up, without namespaces of its own unless
  // `request` says so.
  void StartPod();
  void StartPod(const SandboxRequest& request);

  // A container of the busybox layer that runs `script`.
  launch::LaunchSpec Shell(const std::string& script,
                           const plan::RootfsOptions& options = {});
  launch::LaunchSpec ExecIn(const Started& container,
                            const std::string& script);
  StartRequest Request(const std::string& id, const std::string& script);
  // Request and Start, which must succeed.
  Started Run(const std::string& id, const std::string& script);

  // A shell whose `script` may wait for OpenGate with kWaitForGate.
  static constexpr char kWaitForGate[] =
      " while [ ! -e /gate/open ]; do sleep 0.01; done; ";
  launch::LaunchSpec GatedShell(const std::string& script);
  // Runs `before`, waits for OpenGate, runs `after`.
  void RunGated(const std::string& id, const std::string& before,
                const std::string& after);
  void OpenGate();

  // The leaf of `id`; made if missing.
  os::UniqueFd Leaf(const std::string& id);
  std::string LogPath(const std::string& id) const {
    return dir_ + "/logs/" + id + ".log";
  }
  // The log's lines, also while it is written; an unparseable one is a test
  // failure.
  struct Line {
    std::string stream;
    char tag;
    std::string text;
  };
  std::vector<Line> Log(const std::string& id) const;
  // What `kubectl logs` would print of one stream.
  std::string Text(const std::string& id, const std::string& stream) const;

  // Of a live process; one that has ended fails the test and has SIZE_MAX.
  static size_t OpenFds(pid_t pid);
  // The monitor's, once it has closed what it sent with its last answer.
  size_t RestingFds();
  // A line of smaps_rollup: "Pss", "Pss_Anon".
  static int64_t MemoryKib(pid_t pid, const std::string& key);

  // Made when it is first needed, so that a test may fork before.
  os::Reactor& reactor();

  std::unique_ptr<MonitorClient> Reconnect(
      Events& events, std::vector<ContainerReport>* containers);

  std::string dir_;
  std::string pod_dir_;
  os::UniqueFd pod_dir_fd_;
  os::UniqueFd image_;
  std::unique_ptr<testing_support::ScratchCgroup> cgroup_;
  std::unique_ptr<os::Reactor> reactor_;
  Events events_;
  // Of a later connection; must live as long as its client.
  Events later_;
  std::unique_ptr<MonitorClient> client_;
  Sandbox sandbox_;

 private:
  std::unique_ptr<testing_support::InvariantGuard> invariant_;
  int roots_ = 0;
};

}  // namespace pinion::monitor

#endif  // PINION_TESTS_INTEGRATION_MONITOR_MONITOR_BED_H_
