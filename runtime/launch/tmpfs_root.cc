#include "runtime/launch/tmpfs_root.h"

#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace pinion::launch {

int EnterTmpfsRoot(unsigned long flags, const char* data) {
  // Any directory does to mount it on; this one is on every host.
  constexpr char kScratch[] = "/proc";
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", kScratch, "tmpfs", flags, data) != 0 ||
      chdir(kScratch) != 0) {
    return -1;
  }
  // pivot_root(2), "pivot_root(".", ".")".
  if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0) {
    return -1;
  }
  return chdir("/");
}

}  // namespace pinion::launch
