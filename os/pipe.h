// pipe(2), and what is done with the ends.

#ifndef PINION_OS_PIPE_H_
#define PINION_OS_PIPE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

// Close-on-exec, blocking. `purpose` is for the error's text.
absl::StatusOr<Pipe> MakePipe(const std::string& purpose);

// O_NONBLOCK of the open file description, which copies share.
absl::Status SetNonBlocking(int fd);

// A copy, close-on-exec, of the same open file description.
absl::StatusOr<UniqueFd> Duplicate(int fd);

}  // namespace pinion::os

#endif  // PINION_OS_PIPE_H_
