#include "os/tree_walk.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::os {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// Of an open: there is no directory of that name any more.
bool IsGone(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

class Walk {
 public:
  Walk(int top, const std::string& tree, const TreeVisitor& visitor)
      : top_(top), tree_(tree), visitor_(visitor) {}

  absl::Status Run();

 private:
  // A directory on the way down. Only the deepest is open: the way back is
  // "..", which must be the inode it was.
  struct Level {
    std::string name;
    ino_t inode;
    std::vector<std::string> left;
  };

  absl::Status Down(const std::string& name);
  absl::Status Up();
  bool IsAt(const UniqueFd& dir, size_t level) const;
  // Somebody moved what we were in: from the top to where we still can get.
  absl::Status FindAgain();

  const int top_;
  const std::string& tree_;
  const TreeVisitor& visitor_;
  dev_t device_ = 0;
  UniqueFd dir_;
  std::vector<Level> levels_;
};

absl::Status Walk::Run() {
  struct stat st = {};
  if (fstat(top_, &st) != 0) return ErrnoStatus(absl::StrCat("fstat ", tree_));
  device_ = st.st_dev;
  PINION_ASSIGN_OR_RETURN(dir_, OpenAt(top_, ".", kOpenFlags));
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> names,
                          visitor_.enter(dir_.get()));
  levels_.push_back({tree_, st.st_ino, std::move(names)});
  while (true) {
    std::vector<std::string>& left = levels_.back().left;
    if (!left.empty()) {
      const std::string name = std::move(left.back());
      left.pop_back();
      PINION_RETURN_IF_ERROR(Down(name));
    } else if (levels_.size() > 1) {
      PINION_RETURN_IF_ERROR(Up());
    } else {
      return absl::OkStatus();
    }
  }
}

absl::Status Walk::Down(const std::string& name) {
  UniqueFd child(openat(dir_.get(), name.c_str(), kOpenFlags));
  if (!child.valid()) {
    if (IsGone(errno)) return absl::OkStatus();
    return ErrnoStatus(absl::StrCat("open ", name, " in ", tree_));
  }
  struct stat st = {};
  if (fstat(child.get(), &st) != 0) {
    return ErrnoStatus(absl::StrCat("fstat ", name, " in ", tree_));
  }
  if (st.st_dev != device_) {
    return absl::FailedPreconditionError(
        absl::StrCat(tree_, ": ", name, " is another file system's mount"));
  }
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> names,
                          visitor_.enter(child.get()));
  levels_.push_back({name, st.st_ino, std::move(names)});
  dir_ = std::move(child);
  return absl::OkStatus();
}

absl::Status Walk::Up() {
  const std::string done = std::move(levels_.back().name);
  levels_.pop_back();
  UniqueFd parent(openat(dir_.get(), "..", kOpenFlags));
  if (!IsAt(parent, levels_.size() - 1)) return FindAgain();
  dir_ = std::move(parent);
  if (!visitor_.leave) return absl::OkStatus();
  return visitor_.leave(dir_.get(), done);
}

bool Walk::IsAt(const UniqueFd& dir, size_t level) const {
  struct stat st = {};
  return dir.valid() && fstat(dir.get(), &st) == 0 && st.st_dev == device_ &&
         st.st_ino == levels_[level].inode;
}

absl::Status Walk::FindAgain() {
  PINION_ASSIGN_OR_RETURN(dir_, OpenAt(top_, ".", kOpenFlags));
  for (size_t i = 1; i < levels_.size(); ++i) {
    UniqueFd next(openat(dir_.get(), levels_[i].name.c_str(), kOpenFlags));
    if (!IsAt(next, i)) {
      levels_.resize(i);
      break;
    }
    dir_ = std::move(next);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WalkTree(int top, const std::string& name,
                      const TreeVisitor& visitor) {
  return Walk(top, name, visitor).Run();
}

}  // namespace pinion::os
