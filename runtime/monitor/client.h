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

// /proc/<monitor>/fd/10 is the pod's network namespace: the path that tools
// are given. (Not with host network.)
inline constexpr int kMonitorNetnsFd = 10;

// How a process ended.
struct ExitRecord {
  std::string id;              // container or exec id
  int32_t exit_code = 0;       // 128 + signal when killed
  int32_t signal = 0;          // 0: it exited by itself
  bool oom_killed = false;     // memory.events of its leaf counted an oom_kill
  int64_t finished_at_ns = 0;  // wall clock
  // Lines its log lacks: no space on the disk, or the cap was reached.
  uint64_t dropped_log_lines = 0;
  // Not empty: it never started, and why ("exec /nope: ENOENT"); exit_code is
  // then 128.
  std::string error;
};

// What a monitor says of one container when the daemon (re)connects.
struct ContainerReport {
  std::string id;
  pid_t pid = 0;  // 0: ended
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;  // 0: it has not exec'ed yet, or never did
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
  // The /dev/shm that the pod's containers share (BindMount::pod_shm): a
  // tmpfs of at most so many bytes; 0: none.
  uint64_t shm_bytes = 0;
  // Lines of uid_map and gid_map (user_namespaces(7)); both or none: a user
  // namespace of the pod's own, which its other namespaces then belong to.
  std::string uid_map;
  std::string gid_map;
  // kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*: only with a
  // namespace of the pod's own; anything else is refused (PermissionDenied).
  std::map<std::string, std::string> sysctls;  // validated; dotted names
  // With new_network: the namespace to enter (borrowed), which nobody else is
  // in; -1: the monitor makes one.
  int netns_fd = -1;
};

struct Sandbox {
  pid_t monitor_pid = 0;
  uint64_t monitor_start_ticks = 0;
  // The network namespace that the monitor made and a NETLINK_ROUTE socket made
  // inside it (network/pod_network.h); invalid if it made none.
  os::UniqueFd netns;
  os::UniqueFd netns_route_socket;
  pid_t init_pid = 0;  // PID 1 of the shared PID namespace; 0 without one
};

struct StartRequest {
  std::string container_id;
  std::string plan;    // EncodePlan's bytes (sent as a sealed memfd)
  int cgroup_fd = -1;  // the leaf's directory; the monitor keeps a copy
  // Only for a monitor that TakesRoot, and both or none: the container's root,
  // mounted ahead, and os::EmptyMountNamespace's.
  int root_fd = -1;
  int mount_namespace_fd = -1;
  // Absolute, in a directory that exists; empty: output is discarded. Made
  // with mode 0640; what is there already is appended to.
  std::string log_path;
  // What the log grows to at most until ReopenLog; 0: no cap.
  uint64_t max_log_bytes = 0;
  bool open_stdin = false;  // keep a pipe (or pty) for attach
  bool stdin_once = false;
  bool terminal = false;
  // With a plan of Kind::kRestore (messages.h); borrowed.
  int restore_dir_fd = -1;
};

struct Started {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
  os::UniqueFd console;  // an exec's terminal: the controlling side
};

// An exec with stdio of the daemon's making.
struct ExecRequest {
  std::string container_id;
  std::string exec_id;
  std::string plan;
  int cgroup_fd = -1;
  bool terminal = false;  // instead of the three; the plan asks for one too
  int stdin_fd = -1;      // -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
};

// A client of a running container's stdio. The descriptors are writing ends of
// pipes; -1: not wanted. `control` gets one AttachEnd (messages.h) when the
// monitor lets the client go, and is closed.
struct AttachRequest {
  std::string container_id;
  bool open_stdin = false;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int control_fd = -1;
};

struct Attached {
  // Where the client writes; invalid: not asked for, or the container has none
  // (any more). With stdin_once this is the only writing end.
  os::UniqueFd input;
  os::UniqueFd console;  // instead, with a terminal
};

struct TcpSockets {
  os::UniqueFd ipv4;
  os::UniqueFd ipv6;
};

// All on the reactor's thread; they must not block. They may come before the
// call that led to them has returned: an exit before Start, or before
// Reconnect. A callback may destroy its MonitorClient.
struct Callbacks {
  // Exactly once per container or exec that has started, also for ends that
  // happened while no daemon was connected; acknowledged when it returns. An
  // exec that runs when the connection it was started over is lost, is killed
  // with all it started: its client is gone. Not
  // for a start that was answered with an error. What an exec left behind
  // when the monitor itself is killed is lost with it; for containers there
  // are the records in exits/ (ReadExitRecords).
  std::function<void(const ExitRecord&)> on_exit;
  // The monitor is gone (its socket hung up). Not called when another
  // connection has replaced this one, nor after Shutdown.
  std::function<void()> on_lost;
  // PID 1 of the shared PID namespace has ended, and with it everything in
  // there (whose ends are reported too). May be empty.
  std::function<void(const ExitRecord&)> on_init_exit = nullptr;
};

class MonitorTemplate;

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
    // The cgroup to be born in (os::SpawnSpec); -1: the daemon's.
    int cgroup_fd = -1;
  };
  // Spawns (vfork-style, nothing of ours runs after the fork) and connects.
  static absl::StatusOr<std::unique_ptr<MonitorClient>> Spawn(
      const SpawnOptions& options, os::Reactor& reactor, Callbacks callbacks);

  // Asks a template for the monitor, and returns before there is one: requests
  // may be sent at once, but whether it exists is only known when it has
  // greeted. Until then on_lost is not called, and the monitor ends by itself
  // if this client goes.
  static absl::StatusOr<std::unique_ptr<MonitorClient>> Clone(
      const SpawnOptions& options, MonitorTemplate& source,
      os::Reactor& reactor, Callbacks callbacks);

  // Connects to a monitor that runs, and replaces whatever was connected.
  // Unavailable if nobody listens; DeadlineExceeded if somebody does but does
  // not answer within five seconds (stopped, or its log disk is frozen).
  // `containers` receives what it holds; ends among them that the daemon has
  // not been told yet are given to on_exit as well.
  static absl::StatusOr<std::unique_ptr<MonitorClient>> Reconnect(
      const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
      Callbacks callbacks, std::vector<ContainerReport>* containers);

  // The same without waiting, for a monitor that may be stopped for as long as
  // it likes: `answered` is called once, on the reactor's thread, when it
  // answers (maybe before this returns), and the client may be used from then
  // on. If the monitor is gone before, on_lost is called instead.
  // DeadlineExceeded: its backlog is full, try again later.
  using Answered =
      std::function<void(absl::StatusOr<std::vector<ContainerReport>>)>;
  static absl::StatusOr<std::unique_ptr<MonitorClient>> BeginReconnect(
      const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
      Callbacks callbacks, Answered answered);

  virtual ~MonitorClient() = default;

  // Of a Clone, once, by one thread: waits until it exists. Unavailable: the
  // template made none, or it ended. Otherwise success at once.
  virtual absl::Status AwaitGreeting(Deadline deadline) = 0;

  // 0 before the greeting.
  virtual pid_t pid() const = 0;
  virtual uint64_t start_ticks() const = 0;
  // Whether Start may bring a root (StartRequest); an older one would ignore
  // it and mount a second one.
  virtual bool TakesRoot() const = 0;
  // Its socket has hung up: no call will be answered, no end reported. True
  // before on_lost is called.
  virtual bool lost() const = 0;

  // Once, first. In two halves, so that the caller can do something meanwhile:
  // the same thread calls both.
  virtual absl::Status BeginSandbox(const SandboxRequest& request,
                                    Deadline deadline) = 0;
  virtual absl::StatusOr<Sandbox> AwaitSandbox(Deadline deadline) = 0;
  absl::StatusOr<Sandbox> SetUpSandbox(const SandboxRequest& request,
                                       Deadline deadline) {
    const absl::Status sent = BeginSandbox(request, deadline);
    return sent.ok() ? AwaitSandbox(deadline) : sent;
  }

  // Returns once the process has exec'ed. FailedPrecondition with
  // "exec /nope: ENOENT"-like text if it could not start; ResourceExhausted
  // if there was no process, descriptor or memory to be had; AlreadyExists if
  // the id is in use. A container that could not start counts as ended (see
  // ExitRecord::error) until it is forgotten. After DeadlineExceeded it may
  // yet start.
  virtual absl::StatusOr<Started> Start(const StartRequest& request,
                                        Deadline deadline) = 0;
  virtual absl::StatusOr<Started> Exec(const ExecRequest& request,
                                       Deadline deadline) = 0;

  // Unimplemented: the monitor is of an older pinion. FailedPrecondition: the
  // container does not run. ResourceExhausted: too many are attached.
  virtual absl::StatusOr<Attached> Attach(const AttachRequest& request,
                                          Deadline deadline) = 0;

  // Unconnected, non-blocking, of the pod's network namespace; what the kernel
  // has not is invalid. Unimplemented as above.
  virtual absl::StatusOr<TcpSockets> MakeSockets(Deadline deadline) = 0;

  // kill(2) of the process through its pidfd; ended already is success.
  // NotFound: no such container or exec (an exec is forgotten by itself when
  // its end is acknowledged).
  virtual absl::Status Signal(const std::string& id, int signal,
                              Deadline deadline) = 0;

  // Opens the log anew (O_NOFOLLOW); on an error the old file stays in use
  // and no new one is left.
  virtual absl::Status ReopenLog(const std::string& container_id,
                                 Deadline deadline) = 0;

  // Forgets an ended container and its exit record. FailedPrecondition while
  // it runs; unknown is success.
  virtual absl::Status Forget(const std::string& container_id,
                              Deadline deadline) = 0;

  // Asks it to kill what still runs (SIGKILL), drain logs and end; success
  // when its socket hangs up, and when it is gone already.
  virtual absl::Status Shutdown(Deadline deadline) = 0;
};

// Whether pods can have user namespaces whose layers lie below `root`: tried
// out once, by a process of the monitor's binary. FailedPrecondition says what
// is missing.
absl::Status CheckUserNamespaces(int image_fd, const std::string& root);

// Exit records that a monitor left in `pod_dir_fd`, for when it is gone. Files
// that are no whole record are left out.
absl::StatusOr<std::vector<ExitRecord>> ReadExitRecords(int pod_dir_fd);

// A sealed memfd (F_SEAL_WRITE|SHRINK|GROW|SEAL) of the monitor's binary that
// is linked into this program.
absl::StatusOr<os::UniqueFd> OpenMonitorImage();

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_H_
