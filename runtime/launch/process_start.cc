#include "runtime/launch/process_start.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace pinion::launch {

uint64_t ParseStartTicks(const char* text, size_t size) {
  const auto* close_paren = static_cast<const char*>(memrchr(text, ')', size));
  if (close_paren == nullptr) return 0;
  const char* at = close_paren + 1;
  const char* const end = text + size;
  // Field 3 follows; the 22nd is after 20 blanks.
  for (int blanks = 0; at < end; ++at) {
    if (*at == ' ' && ++blanks == 20) break;
  }
  uint64_t ticks = 0;
  for (++at; at < end && *at >= '0' && *at <= '9'; ++at) {
    ticks = ticks * 10 + static_cast<uint64_t>(*at - '0');
  }
  return ticks;
}

uint64_t ProcessStartTicks(pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  const ssize_t n = read(fd, text, sizeof(text));
  const int error = errno;
  close(fd);
  errno = error;
  return n > 0 ? ParseStartTicks(text, static_cast<size_t>(n)) : 0;
}

}  // namespace pinion::launch
