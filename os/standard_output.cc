#include "os/standard_output.h"

#include <cerrno>
#include <cstdio>

#include "os/error.h"

namespace pinion::os {

absl::Status FlushStandardOutput() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
    return absl::OkStatus();
  }
  return errno == 0 ? absl::DataLossError("standard output was not written")
                    : ErrnoStatus("write standard output");
}

}  // namespace pinion::os
