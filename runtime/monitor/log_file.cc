#include "runtime/monitor/log_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pinion::monitor {

int LogFile::Open(std::string_view path, uint64_t max_bytes) {
  char directory[PATH_MAX];
  if (path.empty() || path[0] != '/') return EINVAL;
  if (path.size() >= sizeof(directory)) return ENAMETOOLONG;
  const size_t slash = path.rfind('/');
  const size_t name_size = path.size() - slash - 1;
  if (name_size == 0) return EISDIR;
  if (name_size >= kMaxName) return ENAMETOOLONG;
  memcpy(directory, path.data(), slash + 1);
  directory[slash + 1] = '\0';
  memcpy(name_, path.data() + slash + 1, name_size);
  name_[name_size] = '\0';

  dir_ = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir_ < 0) return errno;
  max_bytes_ = max_bytes;
  const int error = OpenFile(&fd_, &size_);
  if (error != 0) Close();
  return error;
}

int LogFile::OpenFile(int* fd, uint64_t* size) const {
  // O_NONBLOCK only so that a FIFO put there cannot make us wait; it means
  // nothing for a regular file.
  const int opened = openat(dir_, name_,
                            O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW |
                                O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                            0640);
  if (opened < 0) return errno;
  struct stat st = {};
  int error = fstat(opened, &st) != 0 ? errno : 0;
  if (error == 0 && !S_ISREG(st.st_mode)) error = EINVAL;
  if (error != 0) {
    close(opened);
    return error;
  }
  *fd = opened;
  *size = static_cast<uint64_t>(st.st_size);
  return 0;
}

int LogFile::Reopen() {
  if (dir_ < 0) return 0;
  int fd = -1;
  const int error = OpenFile(&fd, &size_);
  if (error != 0) return error;
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
  return 0;
}

void LogFile::Append(const LogBatch& batch) {
  if (fd_ < 0 || batch.count() == 0) return;
  if (max_bytes_ == 0 || size_ + batch.bytes() <= max_bytes_) {
    Write(batch, 0, batch.count());
    return;
  }
  // Line by line up to the cap. A line that does not fit closes the file
  // until it is opened anew, so that no later line jumps the gap.
  size_t part = 0;
  size_t lines = 0;
  while (part < batch.count()) {
    size_t end = part;
    size_t bytes = 0;
    do {
      bytes += batch.parts()[end++].iov_len;
    } while (end < batch.count() && !batch.IsLineStart(end));
    if (size_ + bytes > max_bytes_) {
      size_ = max_bytes_;
      dropped_lines_ += batch.lines() - lines;
      return;
    }
    Write(batch, part, end);
    ++lines;
    part = end;
  }
}

void LogFile::Write(const LogBatch& batch, size_t from, size_t to) {
  iovec rest[LogBatch::kMaxParts];
  memcpy(rest, batch.parts(), sizeof(iovec) * to);
  size_t part = from;
  size_t line_start = from;  // part with which the unfinished line begins
  uint64_t torn = 0;         // bytes of it that are in the file already
  while (part < to) {
    ssize_t written = writev(fd_, rest + part, static_cast<int>(to - part));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    size_ += static_cast<uint64_t>(written);
    while (part < to && static_cast<size_t>(written) >= rest[part].iov_len) {
      written -= static_cast<ssize_t>(rest[part].iov_len);
      torn += rest[part].iov_len;
      ++part;
      if (part == to || batch.IsLineStart(part)) {
        line_start = part;
        torn = 0;
      }
    }
    if (part < to && written > 0) {
      rest[part].iov_base = static_cast<char*>(rest[part].iov_base) + written;
      rest[part].iov_len -= static_cast<size_t>(written);
      torn += static_cast<uint64_t>(written);
    }
  }
  if (part == to) return;
  // No space (or a broken disk): take the torn line back and count what is
  // lost.
  struct stat st = {};
  if (torn > 0 && fstat(fd_, &st) == 0 &&
      static_cast<uint64_t>(st.st_size) >= torn &&
      ftruncate(fd_, st.st_size - static_cast<off_t>(torn)) == 0) {
    size_ -= torn;
  }
  for (size_t i = line_start; i < to; ++i) {
    if (batch.IsLineStart(i)) ++dropped_lines_;
  }
}

void LogFile::Close() {
  if (fd_ >= 0) close(fd_);
  if (dir_ >= 0) close(dir_);
  fd_ = -1;
  dir_ = -1;
}

}  // namespace pinion::monitor
