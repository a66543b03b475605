#include "runtime/monitor/messages.h"

namespace pinion::monitor {
namespace {

// Never reuse a number; append at the end.
enum Tag : uint16_t {
  kErrorNumber = 1,
  kErrorWhat = 2,
  kErrorObject = 3,
  kPid = 4,
  kStartTicks = 5,
  kId = 6,
  kStartedAt = 7,
  kEnded = 8,
  kEvent = 9,
  kExitCode = 10,
  kExitSignal = 11,
  kOomKilled = 12,
  kFinishedAt = 13,
  kDroppedLines = 14,
  kStartError = 15,
  kHostname = 16,
  kNewNetwork = 17,
  kNewIpc = 18,
  kNewUts = 19,
  kSharedPid = 20,
  kSysctl = 21,  // "name=value"
  kNetnsFd = 22,
  kRouteSocket = 23,
  kContainerId = 24,
  kLogPath = 25,
  kMaxLogBytes = 26,
  kOpenStdin = 27,
  kStdinOnce = 28,
  kTerminal = 29,
  kPlanFd = 30,
  kCgroupFd = 31,
  kStdinFd = 32,
  kStdoutFd = 33,
  kStderrFd = 34,
  kConsoleFd = 35,
  kSignalNumber = 36,
  kShmBytes = 37,
  kRootFd = 38,
  kMountNamespaceFd = 39,
  kControlFd = 40,
  kIpv4Socket = 41,
  kIpv6Socket = 42,
  kPodDirFd = 43,
  kLinkFd = 44,
  kUidMap = 45,
  kGidMap = 46,
  kRestoreDirFd = 60,
};

// Numbers are sent as 64 bits, negative ones by sign extension.
void PutSigned(MessageWriter* writer, uint16_t tag, int64_t value) {
  if (value != 0) writer->PutNumber(tag, static_cast<uint64_t>(value));
}

void PutFlag(MessageWriter* writer, uint16_t tag, bool value) {
  if (value) writer->PutNumber(tag, 1);
}

void PutText(MessageWriter* writer, uint16_t tag, std::string_view value) {
  if (!value.empty()) writer->PutBytes(tag, value);
}

int64_t Signed(const MessageReader& reader, uint16_t tag) {
  return static_cast<int64_t>(reader.Number(tag));
}

int32_t Signed32(const MessageReader& reader, uint16_t tag) {
  return static_cast<int32_t>(reader.Number(tag));
}

bool Flag(const MessageReader& reader, uint16_t tag) {
  return reader.Number(tag) != 0;
}

bool IsIdChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

}  // namespace

bool IsMonitorId(std::string_view id) {
  if (id.empty() || id.size() > kMaxId || id[0] == '.') return false;
  for (const char c : id) {
    if (!IsIdChar(c)) return false;
  }
  return true;
}

void PutError(MessageWriter* writer, const Error& error) {
  if (error.error == 0) return;
  PutSigned(writer, kErrorNumber, error.error);
  PutText(writer, kErrorWhat, error.what);
  PutText(writer, kErrorObject, error.object);
}

Error GetError(const MessageReader& reader) {
  return {Signed32(reader, kErrorNumber), reader.Bytes(kErrorWhat),
          reader.Bytes(kErrorObject)};
}

void Put(MessageWriter* writer, const HelloReplyMessage& message) {
  PutSigned(writer, kPid, message.pid);
  writer->PutNumber(kStartTicks, message.start_ticks);
}

bool Get(const MessageReader& reader, HelloReplyMessage* message) {
  message->pid = Signed32(reader, kPid);
  message->start_ticks = reader.Number(kStartTicks);
  return message->pid > 0;
}

void Put(MessageWriter* writer, const ExitMessage& message) {
  PutText(writer, kId, message.id);
  PutSigned(writer, kEvent, static_cast<int64_t>(message.event));
  PutSigned(writer, kExitCode, message.code);
  PutSigned(writer, kExitSignal, message.signal);
  PutFlag(writer, kOomKilled, message.oom_killed);
  PutSigned(writer, kFinishedAt, message.finished_at_ns);
  PutSigned(writer, kDroppedLines, static_cast<int64_t>(message.dropped_lines));
  PutText(writer, kStartError, message.error);
}

bool Get(const MessageReader& reader, ExitMessage* message) {
  message->id = reader.Bytes(kId);
  message->event = reader.Number(kEvent);
  message->code = Signed32(reader, kExitCode);
  message->signal = Signed32(reader, kExitSignal);
  message->oom_killed = Flag(reader, kOomKilled);
  message->finished_at_ns = Signed(reader, kFinishedAt);
  message->dropped_lines = reader.Number(kDroppedLines);
  message->error = reader.Bytes(kStartError);
  return IsMonitorId(message->id);
}

void Put(MessageWriter* writer, const ReportMessage& message) {
  PutFlag(writer, kEnded, message.ended);
  PutSigned(writer, kPid, message.pid);
  writer->PutNumber(kStartTicks, message.start_ticks);
  PutSigned(writer, kStartedAt, message.started_at_ns);
  ExitMessage exit = message.exit;
  exit.id = message.id;
  Put(writer, exit);
}

bool Get(const MessageReader& reader, ReportMessage* message) {
  message->ended = Flag(reader, kEnded);
  message->pid = Signed32(reader, kPid);
  message->start_ticks = reader.Number(kStartTicks);
  message->started_at_ns = Signed(reader, kStartedAt);
  const bool valid = Get(reader, &message->exit);
  message->id = message->exit.id;
  return valid;
}

void Put(MessageWriter* writer, const SandboxMessage& message) {
  PutText(writer, kHostname, message.hostname);
  PutFlag(writer, kNewNetwork, message.new_network);
  PutFlag(writer, kNewIpc, message.new_ipc);
  PutFlag(writer, kNewUts, message.new_uts);
  PutFlag(writer, kSharedPid, message.shared_pid);
  PutSigned(writer, kShmBytes, static_cast<int64_t>(message.shm_bytes));
  writer->PutFd(kNetnsFd, message.netns_fd);
  PutText(writer, kUidMap, message.uid_map);
  PutText(writer, kGidMap, message.gid_map);
}

void Get(const MessageReader& reader, ReceivedFds* fds,
         SandboxMessage* message) {
  message->hostname = reader.Bytes(kHostname);
  message->new_network = Flag(reader, kNewNetwork);
  message->new_ipc = Flag(reader, kNewIpc);
  message->new_uts = Flag(reader, kNewUts);
  message->shared_pid = Flag(reader, kSharedPid);
  message->shm_bytes = reader.Number(kShmBytes);
  message->netns_fd = reader.TakeFd(kNetnsFd, fds);
  message->uid_map = reader.Bytes(kUidMap);
  message->gid_map = reader.Bytes(kGidMap);
}

void PutSysctl(MessageWriter* writer, std::string_view name,
               std::string_view value) {
  char text[4096];
  if (name.size() + value.size() + 1 > sizeof(text)) {
    writer->Fail();
    return;
  }
  size_t size = 0;
  for (const char c : name) text[size++] = c;
  text[size++] = '=';
  for (const char c : value) text[size++] = c;
  writer->PutBytes(kSysctl, std::string_view(text, size));
}

bool NextSysctl(const MessageReader& reader, size_t* cursor,
                std::string_view* name, std::string_view* value) {
  uint16_t tag = 0;
  std::string_view text;
  while (reader.Next(cursor, &tag, &text)) {
    if (tag != kSysctl) continue;
    size_t equals = 0;
    while (equals < text.size() && text[equals] != '=') ++equals;
    if (equals == text.size()) continue;
    *name = std::string_view(text.data(), equals);
    *value =
        std::string_view(text.data() + equals + 1, text.size() - equals - 1);
    return true;
  }
  return false;
}

void Put(MessageWriter* writer, const SandboxReplyMessage& message) {
  PutSigned(writer, kPid, message.init_pid);
  writer->PutFd(kNetnsFd, message.netns_fd);
  writer->PutFd(kRouteSocket, message.route_socket);
}

void Get(const MessageReader& reader, ReceivedFds* fds,
         SandboxReplyMessage* message) {
  message->init_pid = Signed32(reader, kPid);
  message->netns_fd = reader.TakeFd(kNetnsFd, fds);
  message->route_socket = reader.TakeFd(kRouteSocket, fds);
}

void Put(MessageWriter* writer, const StartMessage& message) {
  PutText(writer, kId, message.id);
  PutText(writer, kContainerId, message.container_id);
  PutText(writer, kLogPath, message.log_path);
  PutSigned(writer, kMaxLogBytes, static_cast<int64_t>(message.max_log_bytes));
  PutFlag(writer, kOpenStdin, message.open_stdin);
  PutFlag(writer, kStdinOnce, message.stdin_once);
  PutFlag(writer, kTerminal, message.terminal);
  writer->PutFd(kPlanFd, message.plan_fd);
  writer->PutFd(kCgroupFd, message.cgroup_fd);
  writer->PutFd(kStdinFd, message.stdin_fd);
  writer->PutFd(kStdoutFd, message.stdout_fd);
  writer->PutFd(kStderrFd, message.stderr_fd);
  writer->PutFd(kRootFd, message.root_fd);
  writer->PutFd(kMountNamespaceFd, message.mount_namespace_fd);
  writer->PutFd(kRestoreDirFd, message.restore_dir_fd);
}

bool Get(const MessageReader& reader, ReceivedFds* fds, StartMessage* message) {
  message->id = reader.Bytes(kId);
  message->container_id = reader.Bytes(kContainerId);
  message->log_path = reader.Bytes(kLogPath);
  message->max_log_bytes = reader.Number(kMaxLogBytes);
  message->open_stdin = Flag(reader, kOpenStdin);
  message->stdin_once = Flag(reader, kStdinOnce);
  message->terminal = Flag(reader, kTerminal);
  message->plan_fd = reader.TakeFd(kPlanFd, fds);
  message->cgroup_fd = reader.TakeFd(kCgroupFd, fds);
  message->stdin_fd = reader.TakeFd(kStdinFd, fds);
  message->stdout_fd = reader.TakeFd(kStdoutFd, fds);
  message->stderr_fd = reader.TakeFd(kStderrFd, fds);
  message->root_fd = reader.TakeFd(kRootFd, fds);
  message->mount_namespace_fd = reader.TakeFd(kMountNamespaceFd, fds);
  message->restore_dir_fd = reader.TakeFd(kRestoreDirFd, fds);
  return IsMonitorId(message->id) && message->plan_fd >= 0;
}

void Put(MessageWriter* writer, const StartReplyMessage& message) {
  PutSigned(writer, kPid, message.pid);
  writer->PutNumber(kStartTicks, message.start_ticks);
  PutSigned(writer, kStartedAt, message.started_at_ns);
  writer->PutFd(kConsoleFd, message.console_fd);
}

void Get(const MessageReader& reader, ReceivedFds* fds,
         StartReplyMessage* message) {
  message->pid = Signed32(reader, kPid);
  message->start_ticks = reader.Number(kStartTicks);
  message->started_at_ns = Signed(reader, kStartedAt);
  message->console_fd = reader.TakeFd(kConsoleFd, fds);
}

void Put(MessageWriter* writer, const AttachMessage& message) {
  PutText(writer, kId, message.id);
  PutFlag(writer, kOpenStdin, message.open_stdin);
  writer->PutFd(kStdoutFd, message.stdout_fd);
  writer->PutFd(kStderrFd, message.stderr_fd);
  writer->PutFd(kControlFd, message.control_fd);
}

bool Get(const MessageReader& reader, ReceivedFds* fds,
         AttachMessage* message) {
  message->id = reader.Bytes(kId);
  message->open_stdin = Flag(reader, kOpenStdin);
  message->stdout_fd = reader.TakeFd(kStdoutFd, fds);
  message->stderr_fd = reader.TakeFd(kStderrFd, fds);
  message->control_fd = reader.TakeFd(kControlFd, fds);
  return IsMonitorId(message->id) && message->control_fd >= 0;
}

void Put(MessageWriter* writer, const AttachReplyMessage& message) {
  writer->PutFd(kStdinFd, message.stdin_fd);
  writer->PutFd(kConsoleFd, message.console_fd);
}

void Get(const MessageReader& reader, ReceivedFds* fds,
         AttachReplyMessage* message) {
  message->stdin_fd = reader.TakeFd(kStdinFd, fds);
  message->console_fd = reader.TakeFd(kConsoleFd, fds);
}

void Put(MessageWriter* writer, const SocketsReplyMessage& message) {
  writer->PutFd(kIpv4Socket, message.ipv4_fd);
  writer->PutFd(kIpv6Socket, message.ipv6_fd);
}

void Get(const MessageReader& reader, ReceivedFds* fds,
         SocketsReplyMessage* message) {
  message->ipv4_fd = reader.TakeFd(kIpv4Socket, fds);
  message->ipv6_fd = reader.TakeFd(kIpv6Socket, fds);
}

void Put(MessageWriter* writer, const TargetMessage& message) {
  PutText(writer, kId, message.id);
  PutSigned(writer, kSignalNumber, message.signal);
}

bool Get(const MessageReader& reader, TargetMessage* message) {
  message->id = reader.Bytes(kId);
  message->signal = Signed32(reader, kSignalNumber);
  return IsMonitorId(message->id);
}

void Put(MessageWriter* writer, const CloneMessage& message) {
  PutText(writer, kId, message.id);
  writer->PutFd(kPodDirFd, message.pod_dir_fd);
  writer->PutFd(kLinkFd, message.link_fd);
  writer->PutFd(kCgroupFd, message.cgroup_fd);
}

bool Get(const MessageReader& reader, ReceivedFds* fds, CloneMessage* message) {
  message->id = reader.Bytes(kId);
  message->pod_dir_fd = reader.TakeFd(kPodDirFd, fds);
  message->link_fd = reader.TakeFd(kLinkFd, fds);
  message->cgroup_fd = reader.TakeFd(kCgroupFd, fds);
  return IsMonitorId(message->id) && message->pod_dir_fd >= 0 &&
         message->link_fd >= 0;
}

void Put(MessageWriter* writer, const ClonedMessage& message) {
  writer->PutNumber(kEvent, message.sequence);
  PutSigned(writer, kPid, message.pid);
  PutSigned(writer, kErrorNumber, message.error);
}

void Get(const MessageReader& reader, ClonedMessage* message) {
  message->sequence = reader.Number(kEvent);
  message->pid = Signed32(reader, kPid);
  message->error = Signed32(reader, kErrorNumber);
}

void PutExitAck(MessageWriter* writer, uint64_t event) {
  writer->PutNumber(kEvent, event);
}

uint64_t GetExitAck(const MessageReader& reader) {
  return reader.Number(kEvent);
}

}  // namespace pinion::monitor
