// errno as absl::Status: "openat2 /etc/passwd in rootfs: ENOENT".
//
// Thread-safe.

#ifndef PINION_OS_ERROR_H_
#define PINION_OS_ERROR_H_

#include <string>

#include "absl/status/status.h"

namespace pinion::os {

// "ENOENT" for 2; "errno 4711" for a number that has no name.
std::string ErrnoName(int error);

// The canonical code for an errno: ENOENT NotFound, EEXIST AlreadyExists,
// EINVAL InvalidArgument, EACCES/EPERM PermissionDenied, ENOSPC/EDQUOT/
// EMFILE/ENFILE/ENOMEM/EAGAIN ResourceExhausted, ETIMEDOUT DeadlineExceeded,
// ECONNREFUSED/ECONNRESET/EPIPE Unavailable, ENOSYS/EOPNOTSUPP Unimplemented,
// else Internal.
absl::StatusCode ErrnoCode(int error);

// `what` names the syscall and the object: "mount overlay on /run/x".
absl::Status ErrnoStatus(int error, const std::string& what);

// The same for the calling thread's errno.
absl::Status ErrnoStatus(const std::string& what);

}  // namespace pinion::os

#endif  // PINION_OS_ERROR_H_
