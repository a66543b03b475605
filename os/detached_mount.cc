#include "os/detached_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::os {
namespace {

absl::StatusOr<UniqueFd> OpenFilesystem(const char* type) {
  UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(absl::StrCat("fsopen ", type));
  return context;
}

absl::Status SetOption(int context, const char* key, const std::string& value) {
  if (fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(absl::StrCat("fsconfig ", key, "=", value));
}

absl::Status SetFlag(int context, const char* key) {
  if (fsconfig(context, FSCONFIG_SET_FLAG, key, nullptr, 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(absl::StrCat("fsconfig ", key));
}

absl::StatusOr<UniqueFd> MountFilesystem(int context, unsigned attributes,
                                         const std::string& what) {
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return ErrnoStatus(absl::StrCat("mount ", what));
  }
  UniqueFd mount(fsmount(context, FSMOUNT_CLOEXEC, attributes));
  if (!mount.valid()) return ErrnoStatus(absl::StrCat("fsmount ", what));
  return mount;
}

// On a thread of its own, which ends in the new namespace.
absl::StatusOr<UniqueFd> MakeEmptyNamespace() {
  if (unshare(CLONE_NEWNS) != 0) return ErrnoStatus("unshare CLONE_NEWNS");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus("make / private");
  }
  PINION_ASSIGN_OR_RETURN(
      UniqueFd fd, OpenAt(AT_FDCWD, "/proc/thread-self/ns/mnt", O_RDONLY));
  PINION_ASSIGN_OR_RETURN(const UniqueFd context, OpenFilesystem("tmpfs"));
  PINION_RETURN_IF_ERROR(SetFlag(context.get(), "ro"));
  PINION_RETURN_IF_ERROR(SetOption(context.get(), "mode", "0555"));
  PINION_ASSIGN_OR_RETURN(
      const UniqueFd root,
      MountFilesystem(context.get(),
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                          MOUNT_ATTR_NOEXEC,
                      "an empty root"));
  if (move_mount(root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoStatus("move_mount an empty root");
  }
  // pivot_root(2), "pivot_root(".", ".")": the old root comes to lie upon
  // the new one and is taken off.
  if (fchdir(root.get()) != 0) return ErrnoStatus("fchdir an empty root");
  if (syscall(SYS_pivot_root, ".", ".") != 0) return ErrnoStatus("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return ErrnoStatus("umount the old root");
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> MountOverlay(const Overlay& overlay) {
  PINION_ASSIGN_OR_RETURN(const UniqueFd context, OpenFilesystem("overlay"));
  const int fd = context.get();
  PINION_RETURN_IF_ERROR(SetOption(fd, "source", "overlay"));
  // What a kernel may have switched on by default, and what attributes in a
  // foreign layer could make use of; the same in launch/plan_writer.cc.
  PINION_RETURN_IF_ERROR(SetOption(fd, "redirect_dir", "nofollow"));
  PINION_RETURN_IF_ERROR(SetOption(fd, "metacopy", "off"));
  PINION_RETURN_IF_ERROR(SetOption(fd, "index", "off"));
  for (const std::string& lower : overlay.lowers) {
    PINION_RETURN_IF_ERROR(SetOption(fd, "lowerdir+", lower));
  }
  PINION_RETURN_IF_ERROR(SetOption(fd, "upperdir", overlay.upper));
  PINION_RETURN_IF_ERROR(SetOption(fd, "workdir", overlay.work));
  if (overlay.is_volatile) PINION_RETURN_IF_ERROR(SetFlag(fd, "volatile"));
  return MountFilesystem(fd, 0, absl::StrCat("overlay on ", overlay.upper));
}

bool CanMountOverlay(const std::string& dir) {
  const auto context = OpenFilesystem("overlay");
  // An older overlay takes whatever it is told, and looks at it only when it is
  // mounted.
  return context.ok() && !SetFlag(context->get(), "pinion-asks").ok() &&
         SetOption(context->get(), "lowerdir+", dir).ok();
}

absl::StatusOr<UniqueFd> EmptyMountNamespace() {
  absl::StatusOr<UniqueFd> result = absl::InternalError("not made");
  std::thread([&result] { result = MakeEmptyNamespace(); }).join();
  return result;
}

}  // namespace pinion::os
