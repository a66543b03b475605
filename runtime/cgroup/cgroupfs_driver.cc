// The pod's cgroup as a plain directory: where there is no systemd.
//
// A pod costs: mkdir, open, mkdir monitor/, two small reads and two writes for
// the controllers, some 40 µs; moving a monitor that runs already (Create)
// adds an RCU grace period. Parents that are missing are made, as the kubelet's
// cgroupfs driver would, and remembered by an extended attribute, so that
// Remove takes exactly those away again.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/cgroup_dir.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/cgroup/pod_subtree.h"

namespace pinion::cgroup {
namespace {

constexpr std::chrono::seconds kRemoveTimeout{10};
constexpr char kMadeAttribute[] = "trusted.pinion.made";
// A pod may be made while the last one below the same parent goes, and the
// parent with it.
constexpr int kMakeRounds = 8;

std::string ParentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

class CgroupfsDriver final : public PodCgroupDriver {
 public:
  explicit CgroupfsDriver(DriverOptions options)
      : options_(std::move(options)) {}

  DriverKind kind() const override { return DriverKind::kCgroupfs; }

  absl::Status CheckParent(const std::string& cgroup_parent) const override {
    if (cgroup_parent.empty() || cgroup_parent == "/") return absl::OkStatus();
    if (cgroup_parent[0] != '/' && absl::EndsWith(cgroup_parent, ".slice")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cgroup_parent \"", cgroup_parent,
          "\" is a systemd slice, but pinion's cgroup driver is cgroupfs: set "
          "both to the same"));
    }
    PINION_RETURN_IF_ERROR_AS(CheckCgroupPath(cgroup_parent), "cgroup_parent");
    return absl::OkStatus();
  }

  std::string PathOf(const std::string& pod_id,
                     const std::string& cgroup_parent) const override {
    return absl::StrCat(Parent(cgroup_parent), "/", PodUnitStem(pod_id));
  }

  absl::Status Create(const std::string& pod_id,
                      const std::string& cgroup_parent,
                      const std::string& description, pid_t monitor) override {
    return CreateWith(pod_id, cgroup_parent, description, monitor).status();
  }

  absl::StatusOr<os::UniqueFd> CreateAhead(
      const std::string& pod_id, const std::string& cgroup_parent,
      const std::string& description) override {
    return CreateWith(pod_id, cgroup_parent, description, 0);
  }

  absl::Status Remove(const std::string& pod_id,
                      const std::string& path) override {
    PINION_ASSIGN_OR_RETURN(const std::string where,
                            path.empty()
                                ? FindPod(options_.hierarchy.root, pod_id)
                                : absl::StatusOr<std::string>(path));
    if (where.empty()) return absl::OkStatus();
    PINION_RETURN_IF_ERROR(CheckCgroupPath(where));
    PINION_RETURN_IF_ERROR(
        RemoveCgroup(options_.hierarchy.root, where,
                     std::chrono::steady_clock::now() + kRemoveTimeout));
    RemoveMadeParents(ParentOf(where));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> ListPods() override {
    return PodIds(options_.hierarchy.root, options_.owner);
  }

 private:
  std::string Parent(const std::string& cgroup_parent) const {
    if (cgroup_parent.empty()) return options_.default_parent;
    if (cgroup_parent == "/") return "";
    return cgroup_parent;
  }

  // The pod's cgroup with monitor/, which it returns; `monitor` moves into it
  // unless it is 0.
  absl::StatusOr<os::UniqueFd> CreateWith(const std::string& pod_id,
                                          const std::string& cgroup_parent,
                                          const std::string& description,
                                          pid_t monitor) {
    if (!IsId(pod_id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", pod_id, "\" is no pod id"));
    }
    PINION_RETURN_IF_ERROR(CheckParent(cgroup_parent));
    const std::string path = PathOf(pod_id, cgroup_parent);
    bool made = false;
    absl::StatusOr<os::UniqueFd> leaf = Make(path, monitor, &made);
    if (leaf.ok()) return leaf;
    // One that was there before may be a running pod's: it stays.
    const absl::Status undone = made ? Remove(pod_id, path) : absl::OkStatus();
    if (!undone.ok()) {
      Log(LogLevel::kWarning, "a pod's cgroup could not be undone",
          {{"pod", pod_id}, {"error", undone.ToString()}});
    }
    return Annotate(leaf.status(),
                    absl::StrCat("cgroup of ", description, ", ", path));
  }

  absl::StatusOr<os::UniqueFd> Make(const std::string& path, pid_t monitor,
                                    bool* made) {
    const std::string full = options_.hierarchy.root + path;
    for (int round = 0; !*made; ++round) {
      *made = mkdir(full.c_str(), 0755) == 0;
      if (*made || errno == EEXIST) break;
      if (errno != ENOENT || round >= kMakeRounds) {
        return os::ErrnoStatus(absl::StrCat("mkdir ", full));
      }
      PINION_RETURN_IF_ERROR(MakeParents(ParentOf(path)));
    }
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                            OpenCgroup(options_.hierarchy.root, path));
    PINION_RETURN_IF_ERROR(MarkOwner(dir.get(), options_.owner));
    PINION_RETURN_IF_ERROR(
        EnableAbove(options_.hierarchy, dir.get(), ParentOf(path)));
    PINION_RETURN_IF_ERROR(SetUpPodSubtree(dir.get(), monitor));
    return os::OpenAt(dir.get(), "monitor", O_RDONLY | O_DIRECTORY);
  }

  absl::Status MakeParents(const std::string& parent) {
    std::string full = options_.hierarchy.root;
    for (const absl::string_view part :
         absl::StrSplit(parent, '/', absl::SkipEmpty())) {
      absl::StrAppend(&full, "/", part);
      if (mkdir(full.c_str(), 0755) == 0) {
        // Best effort: without the mark it merely stays.
        setxattr(full.c_str(), kMadeAttribute, "1", 1, 0);
      } else if (errno == ENOENT) {
        return absl::OkStatus();  // A parent went away: the next round.
      } else if (errno != EEXIST) {
        return os::ErrnoStatus(absl::StrCat("mkdir ", full));
      }
    }
    return absl::OkStatus();
  }

  void RemoveMadeParents(std::string parent) {
    while (parent.size() > 1 && parent != options_.default_parent) {
      const std::string full = options_.hierarchy.root + parent;
      char mark = 0;
      if (getxattr(full.c_str(), kMadeAttribute, &mark, 1) != 1) return;
      // EBUSY: another pod is in it.
      if (rmdir(full.c_str()) != 0 && errno != ENOENT) return;
      parent = ParentOf(parent);
    }
  }

  const DriverOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewCgroupfsDriver(
    const DriverOptions& options) {
  DriverOptions own = options;
  if (own.default_parent.empty()) own.default_parent = "/pinion";
  PINION_RETURN_IF_ERROR_AS(CheckCgroupPath(own.default_parent),
                            "default cgroup parent");
  if (access(own.hierarchy.root.c_str(), W_OK) != 0) {
    return os::ErrnoStatus(absl::StrCat("write to ", own.hierarchy.root));
  }
  return std::unique_ptr<PodCgroupDriver>(
      std::make_unique<CgroupfsDriver>(std::move(own)));
}

}  // namespace pinion::cgroup
