// The daemon's side of one pod monitor: starts it, or reconnects to it, and
// asks it to do things. The monitor survives the daemon; a MonitorClient's
// destructor only closes the connection.
//
// Thread-safe. Requests of several threads are multiplexed on the one
// SEQPACKET connection and answered in any order; each waits at most its
// deadline (DeadlineExceeded). A lost connection fails every waiting request
// with Unavailable and calls on_lost once.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_H_
#define PINION_RUNTIME_MONITOR_CLIENT_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/reactor.h"
#include "os/unique_fd.h"

namespace pinion::monitor {

// How a process ended.
struct ExitRecord {
  std::string id;              // container or exec id
  int32_t exit_code = 0;       // 128 + signal when killed
  int32_t signal = 0;          // 0: it exited by itself
  bool oom_killed = false;     // memory.events of its leaf counted an oom_kill
  int64_t finished_at_ns = 0;  // wall clock
};

// What a monitor says of one container when the daemon (re)connects.
struct ContainerReport {
  std::string id;
  pid_t pid = 0;  // 0: ended
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
  bool ended = false;
  ExitRecord exit;  // when ended
};

struct SandboxRequest {
  std::string hostname;  // empty: leave (host UTS namespace)
  bool new_network = true;
  bool new_ipc = true;
  bool new_uts = true;
  // A shared PID namespace, with pinion's reaping init as its PID 1.
  bool shared_pid = false;
  std::map<std::string, std::string> sysctls;  // validated; dotted names
};

struct Sandbox {
  pid_t monitor_pid = 0;
  uint64_t monitor_start_ticks = 0;
  // The pod's network namespace and a NETLINK_ROUTE socket made inside it
  // (network/pod_network.h); invalid with host network.
  os::UniqueFd netns;
  os::UniqueFd netns_route_socket;
};

struct StartRequest {
  std::string container_id;
  std::string plan;         // EncodePlan's bytes (sent as a sealed memfd)
  int cgroup_fd = -1;       // the leaf's directory; the monitor keeps a copy
  std::string log_path;     // absolute; empty: output is discarded
  bool open_stdin = false;  // keep a pipe (or pty) for attach
  bool stdin_once = false;
  bool terminal = false;
};

struct Started {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
};

// An exec with stdio of the daemon's making.
struct ExecRequest {
  std::string container_id;
  std::string exec_id;
  std::string plan;
  int cgroup_fd = -1;
  int stdin_fd = -1;  // -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
};

struct Callbacks {
  // On the reactor's thread; must not block. Exactly once per container or
  // exec, also for ends that happened while no daemon was connected.
  std::function<void(const ExitRecord&)> on_exit;
  // The monitor is gone (its socket hung up).
  std::function<void()> on_lost;
};

class MonitorClient {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  struct SpawnOptions {
    std::string pod_id;
    // The pod's state directory (tmpfs, 0700): socket, exit records.
    int pod_dir_fd = -1;
    std::string pod_dir;
    // A sealed memfd with the monitor's binary (OpenMonitorImage).
    int image_fd = -1;
  };
  // Spawns (vfork-style, nothing of ours runs after the fork) and connects.
  static absl::StatusOr<std::unique_ptr<MonitorClient>> Spawn(
      const SpawnOptions& options, os::Reactor& reactor, Callbacks callbacks);

  // Connects to a monitor that runs. Unavailable if nobody listens.
  // `containers` receives what it holds.
  static absl::StatusOr<std::unique_ptr<MonitorClient>> Reconnect(
      const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
      Callbacks callbacks, std::vector<ContainerReport>* containers);

  virtual ~MonitorClient() = default;

  virtual pid_t pid() const = 0;
  virtual uint64_t start_ticks() const = 0;

  // Once, first.
  virtual absl::StatusOr<Sandbox> SetUpSandbox(const SandboxRequest& request,
                                               Deadline deadline) = 0;

  // Returns once the process has exec'ed. FailedPrecondition with
  // "exec /nope: ENOENT"-like text if it could not start.
  virtual absl::StatusOr<Started> Start(const StartRequest& request,
                                        Deadline deadline) = 0;
  virtual absl::StatusOr<Started> Exec(const ExecRequest& request,
                                       Deadline deadline) = 0;

  // kill(2) of the process through its pidfd; ended already is success.
  virtual absl::Status Signal(const std::string& id, int signal,
                              Deadline deadline) = 0;

  // Opens the log anew (O_NOFOLLOW); on an error the old file stays in use
  // and no new one is left.
  virtual absl::Status ReopenLog(const std::string& container_id,
                                 Deadline deadline) = 0;

  // Forgets an ended container and its exit record.
  virtual absl::Status Forget(const std::string& container_id,
                              Deadline deadline) = 0;

  // Asks it to drain logs and end; success when its socket hangs up.
  virtual absl::Status Shutdown(Deadline deadline) = 0;
};

// Exit records that a monitor left in `pod_dir_fd`, for when it is gone.
absl::StatusOr<std::vector<ExitRecord>> ReadExitRecords(int pod_dir_fd);

// A sealed memfd (F_SEAL_WRITE|SHRINK|GROW|SEAL) of the monitor's binary that
// is linked into this program.
absl::StatusOr<os::UniqueFd> OpenMonitorImage();

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_H_
