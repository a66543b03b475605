#include "os/unique_fd.h"

#include <cerrno>

namespace pinion::os {

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) {
    const int saved = errno;
    close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

}  // namespace pinion::os
