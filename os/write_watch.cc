#include "os/write_watch.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::os {
namespace {

constexpr uint64_t kMask = FAN_MODIFY | FAN_EVENT_ON_CHILD;
constexpr size_t kMostEvents = 170;
constexpr size_t kEventSize = sizeof(fanotify_event_metadata);

std::string PathOf(int fd) {
  char path[PATH_MAX];
  const ssize_t n = readlink(FdPath(fd).c_str(), path, sizeof(path));
  return n < 0 ? "" : std::string(path, static_cast<size_t>(n));
}

}  // namespace

absl::StatusOr<std::unique_ptr<WriteWatch>> WriteWatch::Create() {
  UniqueFd fd(fanotify_init(
      FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS,
      O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("fanotify_init");
  return std::unique_ptr<WriteWatch>(new WriteWatch(std::move(fd)));
}

absl::Status WriteWatch::Add(int directory) {
  if (fanotify_mark(fanotify_.get(), FAN_MARK_ADD | FAN_MARK_ONLYDIR, kMask,
                    directory, nullptr) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus("fanotify_mark");
}

void WriteWatch::Remove(int directory) {
  fanotify_mark(fanotify_.get(), FAN_MARK_REMOVE, kMask, directory, nullptr);
}

WriteWatch::Batch WriteWatch::Read() {
  Batch batch;
  alignas(fanotify_event_metadata) char buffer[kMostEvents * kEventSize];
  int queued = 0;
  ioctl(fanotify_.get(), FIONREAD, &queued);
  const ssize_t n = read(fanotify_.get(), buffer, sizeof(buffer));
  // An error is a lost event: the kernel could not open the file for us (it is
  // gone; no descriptors are left) and dropped it. That ends a batch, too, and
  // is then seen by its length only.
  batch.lost = n < 0 ? errno != EAGAIN && errno != EINTR
                     : n < std::min<ssize_t>(queued, sizeof(buffer));
  if (n < 0) return batch;
  auto left = static_cast<size_t>(n);
  const auto* event = reinterpret_cast<fanotify_event_metadata*>(buffer);
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    const UniqueFd file(event->fd);
    if ((event->mask & FAN_Q_OVERFLOW) != 0) batch.lost = true;
    if (!file.valid() || event->pid == getpid()) continue;
    struct stat st = {};
    if (fstat(file.get(), &st) != 0) continue;
    batch.writes.push_back({PathOf(file.get()), st.st_ino, event->pid});
  }
  return batch;
}

}  // namespace pinion::os
