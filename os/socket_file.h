// The file of a listening unix socket: whose it is, and how it appears.
//
// A server binds under a scratch name (StagingName) and then publishes the
// socket under its own: permissions and group are right before the name
// exists, and a stale file is replaced in one step.
//
// In between, the process's umask guards it: connecting needs write permission
// (unix(7)), so 022 keeps everybody else out.
//
// Thread-safe.

#ifndef PINION_OS_SOCKET_FILE_H_
#define PINION_OS_SOCKET_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::os {

// InvalidArgument unless `path` is absolute and, with the staging suffix, fits
// into sun_path (unix(7): 108 bytes with the NUL).
absl::Status CheckSocketPath(const std::string& path);

// Where the socket is bound first.
std::string StagingName(const std::string& path);

// FailedPrecondition if somebody accepts connections at `path`, or if what is
// there is no socket. Nothing there, or a socket that a dead process left, is
// success.
absl::Status CheckNobodyServes(const std::string& path);

// Gives the socket at StagingName(path) to `group` (a name or a number; empty:
// unchanged) with mode 0660 and renames it to `path`. InvalidArgument if there
// is no such group. On an error the staging name is removed.
absl::Status PublishSocket(const std::string& path, const std::string& group);

// unlink(2); missing is success.
absl::Status RemoveSocket(const std::string& path);

}  // namespace pinion::os

#endif  // PINION_OS_SOCKET_FILE_H_
