#include "os/socket_file.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::os {
namespace {

constexpr char kStagingSuffix[] = ".new";

absl::StatusOr<gid_t> FindGroup(const std::string& group) {
  gid_t gid = 0;
  const char* end = group.data() + group.size();
  const auto parsed = std::from_chars(group.data(), end, gid);
  if (parsed.ec == std::errc() && parsed.ptr == end) return gid;
  // getgrnam_r(3): a bigger buffer is asked for with ERANGE.
  std::vector<char> buffer(1024);
  while (true) {
    struct group entry;
    struct group* found = nullptr;
    const int error =
        getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE && buffer.size() < (size_t{1} << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (error != 0) return ErrnoStatus(error, "getgrnam_r " + group);
    if (found == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("no group \"", group, "\""));
    }
    return found->gr_gid;
  }
}

absl::Status SetOwnerAndMode(const std::string& path,
                             const std::string& group) {
  if (!group.empty()) {
    PINION_ASSIGN_OR_RETURN(const gid_t gid, FindGroup(group));
    if (lchown(path.c_str(), static_cast<uid_t>(-1), gid) != 0) {
      return ErrnoStatus(absl::StrCat("lchown ", path, " to group ", group));
    }
  }
  // Nobody else can have put a symbolic link there: the directory is ours.
  if (chmod(path.c_str(), 0660) != 0) return ErrnoStatus("chmod " + path);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSocketPath(const std::string& path) {
  const size_t limit = sizeof(sockaddr_un::sun_path) - sizeof(kStagingSuffix);
  if (path.empty() || path.front() != '/' || path.size() > limit ||
      path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path \"", path, "\": must be absolute and have ",
                     "at most ", limit, " bytes"));
  }
  return absl::OkStatus();
}

std::string StagingName(const std::string& path) {
  return path + kStagingSuffix;
}

absl::Status CheckNobodyServes(const std::string& path) {
  PINION_RETURN_IF_ERROR(CheckSocketPath(path));
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus("lstat " + path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " exists and is no socket"));
  }
  const UniqueFd fd(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoStatus("socket AF_UNIX");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0 ||
      errno == EAGAIN) {  // EAGAIN: a listener whose queue is full
    return absl::FailedPreconditionError(
        absl::StrCat("another process serves ", path));
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus("connect " + path);
}

absl::Status PublishSocket(const std::string& path, const std::string& group) {
  const std::string staging = StagingName(path);
  absl::Status status = SetOwnerAndMode(staging, group);
  if (status.ok() && rename(staging.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(absl::StrCat("rename ", staging, " to ", path));
  }
  if (!status.ok()) unlink(staging.c_str());
  return status;
}

absl::Status RemoveSocket(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus("unlink " + path);
}

}  // namespace pinion::os
