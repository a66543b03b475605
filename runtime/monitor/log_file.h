// A container's log file: opened through its directory, appended to, opened
// anew when the kubelet has renamed it.
//
// A full disk never stops the container: lines that do not fit are dropped
// whole and counted, and the file always ends with a whole line. A frozen disk
// does stop it (write(2) sleeps in the kernel): no byte is lost, the pipes
// fill, and the container's writers wait.
//
// Not thread-safe. Functions return 0 or errno.

#ifndef PINION_RUNTIME_MONITOR_LOG_FILE_H_
#define PINION_RUNTIME_MONITOR_LOG_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/monitor/cri_log.h"

namespace pinion::monitor {

class LogFile {
 public:
  LogFile() = default;
  ~LogFile() { Close(); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // `path` is absolute; its directory exists. A symbolic link (ELOOP) and
  // what is no regular file (EINVAL) are refused. `max_bytes` 0: no cap.
  int Open(std::string_view path, uint64_t max_bytes);

  // On an error the old file stays in use. Success without a file.
  int Reopen();

  // Without a file the lines are discarded.
  void Append(const LogBatch& batch);

  void Close();
  uint64_t dropped_lines() const { return dropped_lines_; }

 private:
  static constexpr size_t kMaxName = 256;

  int OpenFile(int* fd, uint64_t* size) const;
  // Writes parts [from, to), whole lines.
  void Write(const LogBatch& batch, size_t from, size_t to);

  int dir_ = -1;
  int fd_ = -1;
  uint64_t size_ = 0;
  uint64_t max_bytes_ = 0;
  uint64_t dropped_lines_ = 0;
  char name_[kMaxName] = {};
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_LOG_FILE_H_
