// The messages themselves: what each type carries, encoded into a
// MessageWriter and decoded from a MessageReader. Strings are views of the
// reader's bytes or of the caller's.
//
//   daemon → monitor            monitor → daemon
//   kHello                      kReport* (one per container), kHelloReply
//   kSetUpSandbox               kSandboxReply
//   kStart, kExec               kStartReply
//   kAttach                     kAttachReply
//   kMakeSockets                kSocketsReply
//   kSignal, kReopenLog,        kReply
//   kForget, kShutdown
//   kExitAck (no answer)        kExit, kInitExit, kReplaced (nobody asked)
//
// Every reply bears its request's sequence number and an Error. Like
// protocol.h: append-only, no heap, shared by both ends.

#ifndef PINION_RUNTIME_MONITOR_MESSAGES_H_
#define PINION_RUNTIME_MONITOR_MESSAGES_H_

#include <cstdint>
#include <string_view>

#include "runtime/monitor/protocol.h"

namespace pinion::monitor {

enum class MessageType : uint16_t {
  kHello = 1,
  kHelloReply = 2,
  kReport = 3,
  kSetUpSandbox = 4,
  kSandboxReply = 5,
  kStart = 6,
  kExec = 7,
  kStartReply = 8,
  kSignal = 9,
  kReopenLog = 10,
  kForget = 11,
  kShutdown = 12,
  kReply = 13,
  kExit = 14,
  kExitAck = 15,
  kInitExit = 16,
  kReplaced = 17,
  kClone = 18,
  kCloned = 19,
  kAttach = 20,
  kAttachReply = 21,
  kMakeSockets = 22,
  kSocketsReply = 23,
};

// Ids become file names: letters, digits, '_', '-' and '.', not first; at
// most kMaxId bytes.
inline constexpr size_t kMaxId = 128;
bool IsMonitorId(std::string_view id);

// Why a request failed; error 0 is success. For people: "<what> <object>:
// <name of errno>".
struct Error {
  int32_t error = 0;
  std::string_view what;
  std::string_view object;
};
void PutError(MessageWriter* writer, const Error& error);
Error GetError(const MessageReader& reader);

struct HelloReplyMessage {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
};
void Put(MessageWriter* writer, const HelloReplyMessage& message);
bool Get(const MessageReader& reader, HelloReplyMessage* message);

// How a process ended; also what an exit record on disk says.
struct ExitMessage {
  uint64_t event = 0;  // acknowledged by number
  std::string_view id;
  int32_t code = 0;
  int32_t signal = 0;
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
  uint64_t dropped_lines = 0;  // of its log: no space, or the cap
  std::string_view error;      // not empty: it never started, and why
};
void Put(MessageWriter* writer, const ExitMessage& message);
bool Get(const MessageReader& reader, ExitMessage* message);

struct ReportMessage {
  std::string_view id;
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
  bool ended = false;
  ExitMessage exit;  // its id is the container's
};
void Put(MessageWriter* writer, const ReportMessage& message);
bool Get(const MessageReader& reader, ReportMessage* message);

struct SandboxMessage {
  std::string_view hostname;
  bool new_network = false;
  bool new_ipc = false;
  bool new_uts = false;
  bool shared_pid = false;
  uint64_t shm_bytes = 0;  // 0: no shared /dev/shm
  int netns_fd = -1;       // with new_network: the one to enter; -1: make one
  // For /proc/PID/uid_map and gid_map; empty: no user namespace.
  std::string_view uid_map;
  std::string_view gid_map;
};
void Put(MessageWriter* writer, const SandboxMessage& message);
// The descriptor becomes the caller's.
void Get(const MessageReader& reader, ReceivedFds* fds,
         SandboxMessage* message);
// Any number of these beside it.
void PutSysctl(MessageWriter* writer, std::string_view name,
               std::string_view value);
// Start with *cursor = 0; false at the end.
bool NextSysctl(const MessageReader& reader, size_t* cursor,
                std::string_view* name, std::string_view* value);

struct SandboxReplyMessage {
  int netns_fd = -1;
  int route_socket = -1;
  int32_t init_pid = 0;  // of the reaping init of a shared PID namespace
};
void Put(MessageWriter* writer, const SandboxReplyMessage& message);
// The descriptors become the caller's.
void Get(const MessageReader& reader, ReceivedFds* fds,
         SandboxReplyMessage* message);

// kStart and kExec. On decoding the descriptors become the caller's.
struct StartMessage {
  std::string_view id;
  std::string_view container_id;  // kExec
  std::string_view log_path;      // kStart
  uint64_t max_log_bytes = 0;     // kStart; 0: no cap
  bool open_stdin = false;
  bool stdin_once = false;
  bool terminal = false;
  int plan_fd = -1;
  int cgroup_fd = -1;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // kStart, from version 2 on: a root that is mounted already, and the mount
  // namespace to attach it in (launch::LaunchFds).
  int root_fd = -1;
  int mount_namespace_fd = -1;
  // kStart of a plan of Kind::kRestore: the directory in which criu leaves the
  // pid of the container's first process, as kRestoredPidFile, before it ends
  // with code 0.
  int restore_dir_fd = -1;
};
inline constexpr char kRestoredPidFile[] = "pid";
void Put(MessageWriter* writer, const StartMessage& message);
// False if the id is no id or there is no plan; fds are then still filled.
bool Get(const MessageReader& reader, ReceivedFds* fds, StartMessage* message);

struct StartReplyMessage {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  int64_t started_at_ns = 0;
  int console_fd = -1;  // an exec's terminal
};
void Put(MessageWriter* writer, const StartReplyMessage& message);
void Get(const MessageReader& reader, ReceivedFds* fds,
         StartReplyMessage* message);

// kAttach: a client of a container's stdio. What the container writes from
// now on goes into these pipes too (write ends, -1: not wanted); into the
// control pipe one AttachEnd when the monitor lets the client go. The client
// leaves by closing the other end of the control pipe. On decoding the
// descriptors become the caller's.
struct AttachMessage {
  std::string_view id;
  bool open_stdin = false;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int control_fd = -1;
};
void Put(MessageWriter* writer, const AttachMessage& message);
// False if the id is no id or there is no control pipe; fds are then still
// filled.
bool Get(const MessageReader& reader, ReceivedFds* fds, AttachMessage* message);

struct AttachReplyMessage {
  // The writing end of the container's stdin; -1: not asked for, it has none,
  // or (stdin_once) it was given away before.
  int stdin_fd = -1;
  int console_fd = -1;  // instead, with a terminal, whether asked for or not
};
void Put(MessageWriter* writer, const AttachReplyMessage& message);
void Get(const MessageReader& reader, ReceivedFds* fds,
         AttachReplyMessage* message);

// What the control pipe says. Append-only: a reader takes what it knows.
struct AttachEnd {
  static constexpr int32_t kEnded = 1;    // the container did
  static constexpr int32_t kTooSlow = 2;  // the client did not read
  int32_t reason = 0;
  int32_t exit_code = 0;  // kEnded
};

// kMakeSockets: unconnected TCP sockets of the pod's network namespace,
// non-blocking; -1: it has no such protocol.
struct SocketsReplyMessage {
  int ipv4_fd = -1;
  int ipv6_fd = -1;
};
void Put(MessageWriter* writer, const SocketsReplyMessage& message);
void Get(const MessageReader& reader, ReceivedFds* fds,
         SocketsReplyMessage* message);

// kSignal, kReopenLog and kForget name a process; kSignal has a number.
struct TargetMessage {
  std::string_view id;
  int32_t signal = 0;
};
void Put(MessageWriter* writer, const TargetMessage& message);
bool Get(const MessageReader& reader, TargetMessage* message);

// kClone: what a template (template.h) is asked for. On decoding the
// descriptors become the caller's.
struct CloneMessage {
  std::string_view id;
  int pod_dir_fd = -1;
  int link_fd = -1;    // the copy's end of its first connection
  int cgroup_fd = -1;  // to be born in; -1: the template's
};
void Put(MessageWriter* writer, const CloneMessage& message);
// False if the id is no id or a descriptor is missing; those that are there
// are then still filled.
bool Get(const MessageReader& reader, ReceivedFds* fds, CloneMessage* message);

// kCloned: what became of a kClone of this sequence number.
struct ClonedMessage {
  uint64_t sequence = 0;
  int32_t pid = 0;  // 0: there is no copy, for the reason in `error`
  int32_t error = 0;
};
void Put(MessageWriter* writer, const ClonedMessage& message);
void Get(const MessageReader& reader, ClonedMessage* message);

// kExitAck: the event of this number has been dealt with.
void PutExitAck(MessageWriter* writer, uint64_t event);
uint64_t GetExitAck(const MessageReader& reader);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_MESSAGES_H_
