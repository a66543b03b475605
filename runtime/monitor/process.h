// What the monitor knows of one process it started, and the table of them.
// Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_PROCESS_H_
#define PINION_RUNTIME_MONITOR_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/monitor/audience.h"
#include "runtime/monitor/log_file.h"
#include "runtime/monitor/loop.h"
#include "runtime/monitor/messages.h"
#include "runtime/monitor/output_stream.h"
#include "runtime/monitor/pod_namespaces.h"
#include "runtime/monitor/text.h"

namespace pinion::monitor {

class Supervisor;

//   kStarting ──exec'ed──▶ kRunning ──reaped──▶ kEnded ──▶ freed
//       └──────failed, or died before exec──────▲      an exec: acknowledged
//                                                      a container: forgotten
enum class ProcessState { kStarting, kRunning, kEnded };
enum class ProcessKind { kContainer, kExec, kInit };

struct Process {
  Process* next = nullptr;
  Supervisor* owner = nullptr;
  FixedText<kMaxId + 1> id;
  ProcessKind kind = ProcessKind::kContainer;
  ProcessState state = ProcessState::kStarting;

  pid_t pid = 0;
  int pidfd = -1;
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
  // The start request that still has to be answered.
  uint64_t start_sequence = 0;
  uint64_t start_connection = 0;  // 0: none
  uint64_t connection = 0;        // of the daemon that asked for it
  bool terminal = false;
  // While criu restores the container, `pid` is criu's; see messages.h.
  int restore_dir_fd = -1;
  Failed failed;  // error 0: it did start

  Watch report;
  Watch console_socket;
  int console_fd = -1;  // of an exec, until it is handed to the daemon
  int stdin_fd = -1;    // kept open for attach
  bool stdin_once = false;
  LogFile log;
  Audience audience;  // of a container
  OutputStream out;
  OutputStream err;
  int cgroup_fd = -1;
  Watch cgroup_events;

  // Once ended.
  int32_t code = 0;
  int32_t signal = 0;
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
  uint64_t event = 0;            // 0: nothing to tell, or acknowledged
  uint64_t told_connection = 0;  // on which the event was sent

  bool has_open_stream() const { return out.is_open() || err.is_open(); }
};

// Owns every Process. Freed ones stay readable until Sweep, as the loop may
// still hold an event of theirs.
class ProcessTable {
 public:
  static constexpr size_t kMaxProcesses = 4096;

  // Null when full or without memory.
  Process* New();
  Process* Find(std::string_view id) const;
  Process* FindPid(pid_t pid) const;
  void Free(Process* process);
  void Sweep();
  Process* first() const { return first_; }
  size_t count() const { return count_; }

 private:
  Process* first_ = nullptr;
  Process* freed_ = nullptr;
  size_t count_ = 0;
};

// The number behind "<key> " at the start of a line of a small kernel file
// below `dir`, as in memory.events and cgroup.events; `fallback` if there is
// none.
int64_t ReadKernelCounter(int dir, const char* file, std::string_view key,
                          int64_t fallback);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_PROCESS_H_
