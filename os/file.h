// Files: bounded reads, whole writes, atomic replacement, directories, paths
// that cannot leave a root.
//
// Thread-safe. `dir` is a directory's descriptor or AT_FDCWD.

#ifndef PINION_OS_FILE_H_
#define PINION_OS_FILE_H_

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

// openat(2) with O_CLOEXEC added.
absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags,
                                mode_t mode = 0);

// openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS: neither "..",
// nor an absolute path, nor a symbolic link leaves `root`.
absl::StatusOr<UniqueFd> OpenInRoot(int root, const std::string& path,
                                    int flags, mode_t mode = 0);

// The whole file; ResourceExhausted if it is longer than `limit` bytes,
// FailedPrecondition if it is a FIFO, a device or a socket.
absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path,
                                       size_t limit = size_t{1} << 20);
absl::StatusOr<std::string> ReadFd(int fd, const std::string& name,
                                   size_t limit = size_t{1} << 20);

// All bytes, retrying short writes and EINTR.
absl::Status WriteAll(int fd, std::string_view data, const std::string& name);

// Opens an existing file and writes `data` with one write(2), as files of
// cgroupfs, procfs and sysfs want it.
absl::Status WriteKernelFile(int dir, const std::string& path,
                             std::string_view data);

// Creates or replaces `path` in one step (a temporary file in the same
// directory, renameat). `durable` adds fsync of the file and the directory.
absl::Status ReplaceFileAt(int dir, const std::string& path,
                           std::string_view data, mode_t mode,
                           bool durable = false);

// mkdirat(2); an existing directory is success (its mode is left alone).
absl::Status MakeDirAt(int dir, const std::string& path, mode_t mode);

// Every missing directory of `path`, like mkdir -p.
absl::Status MakeDirs(const std::string& path, mode_t mode);

// Deletes a file or a whole tree without following symbolic links and
// without leaving the file system it is on. Missing is success.
absl::Status RemoveTreeAt(int dir, const std::string& path);

// Names in a directory but "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDirAt(int dir,
                                                   const std::string& path);

// A path that names an open file: /proc/self/fd/N.
std::string FdPath(int fd);

}  // namespace pinion::os

#endif  // PINION_OS_FILE_H_
