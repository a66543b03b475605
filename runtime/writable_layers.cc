#include "runtime/writable_layers.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::runtime {
namespace {

constexpr char kSpare[] = "spare";
// The containers of a pod are created one after the other.
constexpr size_t kSpares = 4;
constexpr mode_t kUpperMode = 0755;

absl::Status MakeDirs(int dir, const std::string& name) {
  PINION_RETURN_IF_ERROR(os::MakeDirAt(dir, name, 0700));
  const std::string upper = name + "/upper";
  PINION_RETURN_IF_ERROR(os::MakeDirAt(dir, upper, kUpperMode));
  PINION_RETURN_IF_ERROR(os::MakeDirAt(dir, name + "/work", 0700));
  // Whatever the umask is.
  if (fchmodat(dir, upper.c_str(), kUpperMode, 0) == 0) return absl::OkStatus();
  return os::ErrnoStatus(absl::StrCat("chmod ", upper));
}

absl::Status SetOwner(int dir, const std::string& upper,
                      const struct stat& root) {
  const bool root_owned = root.st_uid == 0 && root.st_gid == 0;
  if (!root_owned &&
      fchownat(dir, upper.c_str(), root.st_uid, root.st_gid, 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("chown ", upper));
  }
  const mode_t mode = root.st_mode & 07777;
  if (mode != kUpperMode && fchmodat(dir, upper.c_str(), mode, 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("chmod ", upper));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<WritableLayers>> WritableLayers::Create(
    int root_dir, int containers_dir) {
  PINION_RETURN_IF_ERROR(os::RemoveTreeAt(root_dir, kSpare));
  PINION_RETURN_IF_ERROR(os::MakeDirAt(root_dir, kSpare, 0700));
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd spare,
      os::OpenAt(root_dir, kSpare, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto layers = std::unique_ptr<WritableLayers>(
      new WritableLayers(std::move(spare), containers_dir));
  layers->Refill();
  return layers;
}

WritableLayers::WritableLayers(os::UniqueFd spare_dir, int containers_dir)
    : spare_dir_(std::move(spare_dir)), containers_dir_(containers_dir) {}

WritableLayers::~WritableLayers() {
  for (std::string name = TakeSpare(); !name.empty(); name = TakeSpare()) {
    (void)os::RemoveTreeAt(spare_dir_.get(), name);
  }
}

std::string WritableLayers::TakeSpare() {
  const absl::MutexLock lock(&mutex_);
  if (spare_.empty()) return "";
  std::string name = std::move(spare_.back());
  spare_.pop_back();
  return name;
}

absl::Status WritableLayers::Make(const std::string& id,
                                  const struct stat& root) {
  const std::string spare = TakeSpare();
  if (spare.empty()) {
    PINION_RETURN_IF_ERROR(MakeDirs(containers_dir_, id));
  } else if (renameat(spare_dir_.get(), spare.c_str(), containers_dir_,
                      id.c_str()) != 0) {
    // containers/ may be a mount of its own, or have a quota project (EXDEV).
    (void)os::RemoveTreeAt(spare_dir_.get(), spare);
    PINION_RETURN_IF_ERROR(MakeDirs(containers_dir_, id));
  }
  return SetOwner(containers_dir_, id + "/upper", root);
}

void WritableLayers::Refill() {
  {
    const absl::MutexLock lock(&mutex_);
    if (refilling_) return;
    refilling_ = true;
  }
  while (true) {
    std::string name;
    {
      const absl::MutexLock lock(&mutex_);
      if (spare_.size() >= kSpares) {
        refilling_ = false;
        return;
      }
      name = absl::StrCat(++last_);
    }
    const absl::Status made = MakeDirs(spare_dir_.get(), name);
    if (!made.ok()) (void)os::RemoveTreeAt(spare_dir_.get(), name);
    const absl::MutexLock lock(&mutex_);
    if (!made.ok()) {
      // CreateContainer finds out by itself, and says it.
      Log(LogLevel::kDebug, "no spare writable layer",
          {{"error", made.ToString()}});
      refilling_ = false;
      return;
    }
    spare_.push_back(std::move(name));
  }
}

}  // namespace pinion::runtime
