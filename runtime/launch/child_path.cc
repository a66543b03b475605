#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

// openat2(2): EAGAIN when something was renamed or mounted meanwhile.
constexpr int kMaxRaces = 64;
// As the kernel's own limit for links in one path.
constexpr int kMaxLinks = 40;

// The link at `parent`/`name` (which leads nowhere) replaced by what it says:
// `path` becomes its target and what followed it. `end` is where the link's
// name ends in `path`, `start` where it starts.
bool FollowDangling(int parent, char* path, char* start, const char* end) {
  char name[NAME_MAX + 1];
  const size_t length = static_cast<size_t>(end - start);
  if (length > NAME_MAX) return false;
  memcpy(name, start, length);
  name[length] = '\0';
  char joined[PATH_MAX];
  size_t used = 0;
  char target[PATH_MAX];
  const ssize_t n = readlinkat(parent, name, target, sizeof(target));
  if (n <= 0) return false;
  if (target[0] != '/') {
    used = static_cast<size_t>(start - path);
    memcpy(joined, path, used);
  }
  const size_t size = static_cast<size_t>(n);
  const size_t rest = strlen(end) + 1;
  if (used + size + rest > sizeof(joined)) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(joined + used, target, size);
  memcpy(joined + used + size, end, rest);
  memcpy(path, joined, used + size + rest);
  return true;
}

int MakeEntry(int parent, const char* name, bool is_dir) {
  if (is_dir) return mkdirat(parent, name, 0755);
  return mknodat(parent, name, S_IFREG | 0644, 0);
}

// One walk over `path` from the root, making what is missing. 1: a dangling
// link was replaced in `path`, start again.
int MakeComponents(const Child& child, char* path, bool is_dir) {
  int parent = OpenInRoot(child, "/", O_PATH | O_DIRECTORY, 0);
  if (parent < 0) return -1;
  char* start = path;
  int result = 0;
  while (result == 0) {
    while (*start == '/') ++start;
    if (*start == '\0') break;
    char* end = strchrnul(start, '/');
    const char saved = *end;
    const bool last = end[strspn(end, "/")] == '\0';
    *end = '\0';
    int fd = OpenInRoot(child, path, O_PATH, 0);
    if (fd < 0 && errno == ENOENT) {
      if (MakeEntry(parent, start, is_dir || !last) == 0) {
        fd = OpenInRoot(child, path, O_PATH, 0);
        if (fd < 0) result = -1;
        *end = saved;
      } else {
        result = -1;
        *end = saved;
        if (errno == EEXIST && FollowDangling(parent, path, start, end)) {
          result = 1;
        }
      }
    } else {
      if (fd < 0) result = -1;
      *end = saved;
    }
    const int error = errno;
    close(parent);
    errno = error;
    parent = fd;
    start = end;
  }
  if (parent >= 0) close(parent);
  return result;
}

}  // namespace

int OpenInRoot(const Child& child, const char* path, int flags,
               unsigned resolve) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  for (int i = 0; i < kMaxRaces; ++i) {
    const long fd =
        syscall(SYS_openat2, child.root_fd, path, &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN) return static_cast<int>(fd);
  }
  return -1;
}

int MakeInRoot(const Child& child, const char* path, bool is_dir) {
  int fd = OpenInRoot(child, path, O_PATH, 0);
  if (fd >= 0 || errno != ENOENT) return fd;
  char copy[PATH_MAX];
  if (strlen(path) >= sizeof(copy)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(copy, path);
  for (int links = 0; links < kMaxLinks; ++links) {
    const int made = MakeComponents(child, copy, is_dir);
    if (made < 0) return -1;
    if (made == 0) return OpenInRoot(child, copy, O_PATH, 0);
  }
  errno = ELOOP;
  return -1;
}

}  // namespace pinion::launch
