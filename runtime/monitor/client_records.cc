#include "runtime/monitor/client_records.h"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/monitor/exit_record.h"

namespace pinion::monitor {
namespace {

std::string Text(const Error& error) {
  return absl::StrCat(std::string(error.what), " ", std::string(error.object),
                      ": ", os::ErrnoName(error.error));
}

}  // namespace

ExitRecord ToExitRecord(const ExitMessage& message) {
  ExitRecord record;
  record.id = std::string(message.id);
  record.exit_code = message.code;
  record.signal = message.signal;
  record.oom_killed = message.oom_killed;
  record.finished_at_ns = message.finished_at_ns;
  record.dropped_log_lines = message.dropped_lines;
  record.error = std::string(message.error);
  return record;
}

ContainerReport ToContainerReport(const ReportMessage& message) {
  ContainerReport report;
  report.id = std::string(message.id);
  report.pid = message.pid;
  report.start_ticks = message.start_ticks;
  report.started_at_ns = message.started_at_ns;
  report.ended = message.ended;
  if (message.ended) report.exit = ToExitRecord(message.exit);
  return report;
}

absl::Status ToStatus(const Error& error) {
  if (error.error == 0) return absl::OkStatus();
  if (error.error == EBUSY || error.error == EALREADY) {
    return absl::FailedPreconditionError(Text(error));
  }
  return absl::Status(os::ErrnoCode(error.error), Text(error));
}

absl::Status ToStartStatus(const Error& error) {
  if (error.error == 0) return absl::OkStatus();
  const absl::StatusCode code = os::ErrnoCode(error.error);
  if (code == absl::StatusCode::kResourceExhausted) {
    return absl::ResourceExhaustedError(Text(error));
  }
  if (code == absl::StatusCode::kAlreadyExists && error.what == "start") {
    return absl::AlreadyExistsError(Text(error));
  }
  return absl::FailedPreconditionError(Text(error));
}

absl::StatusOr<std::vector<ExitRecord>> ReadExitRecords(int pod_dir_fd) {
  std::vector<ExitRecord> records;
  const auto names = os::ListDirAt(pod_dir_fd, kExitsDir);
  if (absl::IsNotFound(names.status())) return records;
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!IsMonitorId(name)) continue;  // A temporary file.
    const auto text = os::ReadFileAt(
        pod_dir_fd, absl::StrCat(kExitsDir, "/", name), kMaxExitRecord);
    ExitMessage message;
    if (text.ok() && ParseExitRecord(*text, &message) && message.id == name) {
      records.push_back(ToExitRecord(message));
    }
  }
  return records;
}

}  // namespace pinion::monitor
