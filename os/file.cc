#include "os/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/tree_walk.h"

namespace pinion::os {

absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags,
                                mode_t mode) {
  UniqueFd fd(openat(dir, path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("open ", path));
  return fd;
}

absl::StatusOr<UniqueFd> OpenInRoot(int root, const std::string& path,
                                    int flags, mode_t mode) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(
      syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("openat2 ", path));
  return fd;
}

absl::StatusOr<std::string> ReadFd(int fd, const std::string& name,
                                   size_t limit) {
  std::string data;
  struct stat st = {};
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
    data.reserve(std::min(static_cast<size_t>(st.st_size), limit) + 1);
  }
  char buffer[16384];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(absl::StrCat("read ", name));
    }
    if (n == 0) return data;
    if (data.size() + static_cast<size_t>(n) > limit) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", name, ": longer than ", limit, " bytes"));
    }
    data.append(buffer, static_cast<size_t>(n));
  }
}

absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path,
                                       size_t limit) {
  // O_NONBLOCK: the open of a FIFO would wait for a writer.
  PINION_ASSIGN_OR_RETURN(UniqueFd fd,
                          OpenAt(dir, path, O_RDONLY | O_NONBLOCK));
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) {
    return ErrnoStatus(absl::StrCat("fstat ", path));
  }
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no regular file"));
  }
  return ReadFd(fd.get(), path, limit);
}

absl::Status WriteAll(int fd, std::string_view data, const std::string& name) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(absl::StrCat("write ", name));
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status WriteKernelFile(int dir, const std::string& path,
                             std::string_view data) {
  PINION_ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, path, O_WRONLY));
  ssize_t n = 0;
  do {
    n = write(fd.get(), data.data(), data.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    const int error = errno;
    return ErrnoStatus(
        error, absl::StrCat("write \"", std::string(data), "\" to ", path));
  }
  return absl::OkStatus();
}

absl::Status ReplaceFileAt(int dir, const std::string& path,
                           std::string_view data, mode_t mode, bool durable) {
  const std::string temporary =
      absl::StrCat(path, ".", NewId().substr(0, 16), ".tmp");
  PINION_ASSIGN_OR_RETURN(
      UniqueFd fd,
      OpenAt(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  absl::Status status = WriteAll(fd.get(), data, temporary);
  if (status.ok() && durable && fsync(fd.get()) != 0) {
    status = ErrnoStatus(absl::StrCat("fsync ", temporary));
  }
  if (status.ok() && renameat(dir, temporary.c_str(), dir, path.c_str()) != 0) {
    status = ErrnoStatus(absl::StrCat("rename ", temporary, " to ", path));
  }
  if (!status.ok()) {
    unlinkat(dir, temporary.c_str(), 0);
    return status;
  }
  if (!durable) return absl::OkStatus();
  const size_t slash = path.rfind('/');
  const std::string parent =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  PINION_ASSIGN_OR_RETURN(UniqueFd parent_fd,
                          OpenAt(dir, parent, O_RDONLY | O_DIRECTORY));
  if (fsync(parent_fd.get()) != 0) {
    return ErrnoStatus(absl::StrCat("fsync ", parent));
  }
  return absl::OkStatus();
}

absl::Status MakeDirAt(int dir, const std::string& path, mode_t mode) {
  if (mkdirat(dir, path.c_str(), mode) == 0) return absl::OkStatus();
  const int error = errno;
  if (error == EEXIST) {
    struct stat st = {};
    if (fstatat(dir, path.c_str(), &st, 0) == 0 && S_ISDIR(st.st_mode)) {
      return absl::OkStatus();
    }
  }
  return ErrnoStatus(
      error, absl::StrCat("mkdir ", path,
                          error == EEXIST ? ", which is no directory" : ""));
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  // Mostly it, or at least its parent, is there.
  if (MakeDirAt(AT_FDCWD, path, mode).ok()) return absl::OkStatus();
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    PINION_RETURN_IF_ERROR(MakeDirAt(AT_FDCWD, path.substr(0, slash), mode));
  }
  return MakeDirAt(AT_FDCWD, path, mode);
}

absl::StatusOr<std::vector<std::string>> ListDirAt(int dir,
                                                   const std::string& path) {
  PINION_ASSIGN_OR_RETURN(UniqueFd fd,
                          OpenAt(dir, path, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()),
                                                   closedir);
  if (stream == nullptr) return ErrnoStatus(absl::StrCat("fdopendir ", path));
  (void)fd.Release();  // closedir closes it.
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return ErrnoStatus(absl::StrCat("readdir ", path));
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status RemoveTreeAt(int dir, const std::string& path) {
  if (unlinkat(dir, path.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR) return ErrnoStatus(absl::StrCat("unlink ", path));
  TreeVisitor visitor;
  visitor.enter =
      [&path](int entered) -> absl::StatusOr<std::vector<std::string>> {
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListDirAt(entered, "."));
    std::vector<std::string> directories;
    for (const std::string& name : names) {
      if (unlinkat(entered, name.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR) {
        return ErrnoStatus(absl::StrCat("unlink ", name, " in ", path));
      }
      directories.push_back(name);
    }
    return directories;
  };
  visitor.leave = [&path](int parent, const std::string& name) {
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    return ErrnoStatus(absl::StrCat("rmdir ", name, " in ", path));
  };
  PINION_ASSIGN_OR_RETURN(
      const UniqueFd top,
      OpenAt(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  PINION_RETURN_IF_ERROR_AS(WalkTree(top.get(), path, visitor), "remove");
  if (unlinkat(dir, path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoStatus(absl::StrCat("rmdir ", path));
  }
  return absl::OkStatus();
}

std::string FdPath(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

}  // namespace pinion::os
