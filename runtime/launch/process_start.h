// When a process started: tells it from a later one with the same pid.

#ifndef PINION_RUNTIME_LAUNCH_PROCESS_START_H_
#define PINION_RUNTIME_LAUNCH_PROCESS_START_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace pinion::launch {

// Field 22 of /proc/`pid`/stat, in clock ticks since boot (proc(5)); 0 with
// errno if there is no such process. No heap.
uint64_t ProcessStartTicks(pid_t pid);

// Field 22 of the text of a stat file; 0 if it is malformed. The second
// field, the command's name, may hold blanks and parentheses.
uint64_t ParseStartTicks(const char* text, size_t size);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_PROCESS_START_H_
