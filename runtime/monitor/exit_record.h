// An exit record: one small text file exits/<id> in the pod's directory,
// written by the monitor before it tells the daemon, read by the daemon when
// the monitor is gone.
//
//   pinion-exit 1
//   id 3f2a…
//   code 137
//   signal 9
//   oom 1
//   finished 1789000000123456789
//   dropped 0
//   error exec /nope: ENOENT      (only if it never started)
//   end
//
// Append-only: an unknown line is skipped. A file without its last line was
// cut short and is no record. No heap, no Abseil: shared by both ends.

#ifndef PINION_RUNTIME_MONITOR_EXIT_RECORD_H_
#define PINION_RUNTIME_MONITOR_EXIT_RECORD_H_

#include <cstddef>
#include <string_view>

#include "runtime/monitor/messages.h"

namespace pinion::monitor {

inline constexpr char kExitsDir[] = "exits";
inline constexpr size_t kMaxExitRecord = 1024;

// Returns the length. Line breaks in `error` become blanks; what is too long
// is cut.
size_t FormatExitRecord(const ExitMessage& exit, char* buffer,
                        size_t capacity = kMaxExitRecord);

// The views of *exit point into `text`. False if it is no whole record.
bool ParseExitRecord(std::string_view text, ExitMessage* exit);

// Writes exits/<id> below `pod_dir` in one step (temporary file, rename).
// Returns 0 or errno.
int WriteExitRecord(int pod_dir, const ExitMessage& exit);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_EXIT_RECORD_H_
