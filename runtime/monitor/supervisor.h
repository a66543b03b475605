// The processes of a pod: starts them, logs their output, reaps them, keeps
// what the daemon has not acknowledged. Single-threaded.
//
// Order of an exit: wait for the process → read what its pipes hold → read
// memory.events → write exits/<id> → tell the daemon. A process that outlives
// the container's and holds its stdout delays none of it: its output is
// logged on until the stream ends or the container's cgroup is empty.

#ifndef PINION_RUNTIME_MONITOR_SUPERVISOR_H_
#define PINION_RUNTIME_MONITOR_SUPERVISOR_H_

#include "runtime/launch/launch.h"
#include "runtime/monitor/daemon_link.h"
#include "runtime/monitor/loop.h"
#include "runtime/monitor/messages.h"
#include "runtime/monitor/pod_namespaces.h"
#include "runtime/monitor/process.h"

namespace pinion::monitor {

class Supervisor {
 public:
  // All outlive it. `streams` is for the containers' output. `pod_dir` is the
  // directory of the exit records.
  Supervisor(Loop* loop, Loop* streams, DaemonLink* link,
             const PodNamespaces* namespaces, int pod_dir)
      : loop_(loop),
        streams_(streams),
        link_(link),
        namespaces_(namespaces),
        pod_dir_(pod_dir) {}

  // kStart and kExec; answered when the process has exec'ed or failed.
  // Consumes the request's descriptors.
  void Start(const StartMessage& request, bool exec, uint64_t sequence);

  // The reaping init of a shared PID namespace is watched like any process.
  void AdoptInit(pid_t pid);

  // kAttach; answered at once. Consumes the request's descriptors.
  void Attach(const AttachMessage& request, uint64_t sequence);
  // An attached client does not keep up: call LetSlowClientsGo once a second.
  bool has_slow_client() const { return clients_.behind() > 0; }
  void LetSlowClientsGo();

  // Each returns 0 or an errno: ENOENT no such process, EBUSY still running.
  int Signal(std::string_view id, int signal);
  int ReopenLog(std::string_view id);
  int Forget(std::string_view id);

  // SIGCHLD: reaps everything that has ended, orphans included.
  void Reap();

  // One kReport per container, for a daemon that (re)connects.
  void SendReports(uint64_t sequence);
  // Sends events that this connection has not been told.
  void SendEvents();
  // The daemon has dealt with the event of this number.
  void Acknowledge(uint64_t event);

  void KillAll();
  // To be called with every turn: an exec belongs to a client of the daemon
  // that asked for it, and ends when that daemon is gone.
  void EndExecsOfLostDaemons();
  bool has_live_process() const;
  // Logs what is left, closes all streams.
  void CloseStreams();

  // Frees what the turn of the loop has ended.
  void Sweep() {
    table_.Sweep();
    clients_.Sweep();
  }

 private:
  // An exec's, if it is this monitor's own.
  void NameTarget(std::string_view container_id, launch::LaunchFds* fds);
  // Each step of a start; false with process->failed set.
  bool OpenStdio(Process* process, const StartMessage& request,
                 launch::LaunchFds* fds);
  bool OpenOutputs(Process* process, launch::LaunchFds* fds);
  bool LaunchPlan(Process* process, int plan_fd, const launch::LaunchFds& fds);

  static void ReportReady(void* process, uint32_t events);
  static void ConsoleReady(void* process, uint32_t events);
  static void StreamClosed(void* process);
  static void AudienceCaughtUp(void* process, int stream);
  static void CgroupReady(void* process, uint32_t events);
  // Reads what the child said; true once it is known whether it started.
  bool ReadReport(Process* process);
  void ReceiveConsole(Process* process);
  void OnStarted(Process* process);

  void OnEnded(Process* process, int code, int status);
  // criu has ended: the container's process takes its place. False if there is
  // none, with process->failed set.
  bool FinishRestore(Process* process, int code, int status);
  void BreakOffRestores();
  void Conclude(Process* process);
  void AnswerFailure(Process* process);
  // A dead container's open streams: closed when its cgroup is empty.
  void WatchCgroup(Process* process);
  void CloseIfCgroupEmpty(Process* process);
  void CloseDescriptors(Process* process);

  Loop* const loop_;
  Loop* const streams_;
  DaemonLink* const link_;
  const PodNamespaces* const namespaces_;
  const int pod_dir_;
  ClientPool clients_;
  ProcessTable table_;
  uint64_t last_event_ = 0;
  uint64_t greeted_ = 0;  // the connection that was sent the reports
  uint64_t served_ = 0;   // the connection whose execs run
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_SUPERVISOR_H_
