// The pod monitor: its event sources, and what to do with each message.
// docs/architecture.md, "The pod monitor", says what it is for.
//
// Single-threaded. What one thread can promise: every turn of the loop serves
// whatever is ready, the daemon with at most 16 requests; but of the output
// streams only one, in turn, with one read of 32 KiB. So however much the
// containers write, the answer to a request waits for a single read to be
// logged. Only a log disk that is frozen stops the loop, in write(2), for as
// long as it is frozen: then requests to this one pod time out, no byte is
// lost, and every other pod has a monitor of its own.

#ifndef PINION_RUNTIME_MONITOR_MONITOR_H_
#define PINION_RUNTIME_MONITOR_MONITOR_H_

#include <cstdint>

#include "runtime/monitor/daemon_link.h"
#include "runtime/monitor/loop.h"
#include "runtime/monitor/pod_namespaces.h"
#include "runtime/monitor/supervisor.h"

namespace pinion::monitor {

class Monitor : private DaemonLink::Handler {
 public:
  explicit Monitor(int pod_dir)
      : supervisor_(&loop_, &streams_, &link_, &namespaces_, pod_dir) {}

  // `signal_fd` reports SIGCHLD. `first_connection` is the daemon's that asked
  // for this monitor, -1: it is going to connect; a monitor that loses it
  // before it has told of its sandbox ends, as nobody knows of it. 0 or errno.
  int Create(int listening_socket, int signal_fd, int first_connection);

  // Until it is told to shut down.
  void Run();

 private:
  void OnMessage(const MessageReader& message, ReceivedFds* fds) override;
  static void StreamsReady(void* self, uint32_t events);
  static void SignalReady(void* self, uint32_t events);

  void OnHello(const MessageReader& message);
  void OnSetUpSandbox(const MessageReader& message, ReceivedFds* fds);
  void OnStart(const MessageReader& message, ReceivedFds* fds, bool exec);
  void OnAttach(const MessageReader& message, ReceivedFds* fds);
  void OnMakeSockets(const MessageReader& message);
  void OnTarget(const MessageReader& message);
  void Reply(uint64_t sequence, const Error& error);
  bool ShutdownIsDone() const;
  bool IsAbandoned() const;

  Loop loop_;
  // The containers' output, served one stream at a time.
  Loop streams_;
  Watch streams_watch_;
  DaemonLink link_;
  PodNamespaces namespaces_;
  Supervisor supervisor_;
  Watch signal_;
  // Monotonic; 0: not asked to shut down.
  int64_t shutdown_deadline_ns_ = 0;
  bool born_connected_ = false;
  // The daemon was told what became of the sandbox.
  bool answered_ = false;
  // Something happened since clean pages were last dropped.
  bool trim_due_ = true;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_MONITOR_H_
