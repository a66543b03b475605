#include "runtime/cgroup/pod_subtree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/cgroup_dir.h"

namespace pinion::cgroup {
namespace {

constexpr std::string_view kPrefix = "pinion-";
constexpr std::string_view kScope = ".scope";
constexpr char kOwnerAttribute[] = "trusted.pinion.owner";

bool IsOwnedBy(const std::string& directory, const std::string& owner) {
  if (owner.empty()) return true;
  char value[4096];
  const ssize_t n =
      getxattr(directory.c_str(), kOwnerAttribute, value, sizeof(value));
  return n >= 0 && std::string_view(value, static_cast<size_t>(n)) == owner;
}

}  // namespace

std::string PodUnitStem(const std::string& pod_id) {
  return std::string(kPrefix) + pod_id;
}

std::optional<std::string> PodIdOfCgroup(std::string_view name) {
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  if (name.size() > kScope.size() &&
      name.substr(name.size() - kScope.size()) == kScope) {
    name.remove_suffix(kScope.size());
  }
  if (!IsId(name)) return std::nullopt;
  return std::string(name);
}

absl::Status SetUpPodSubtree(int pod_dir, pid_t monitor) {
  PINION_RETURN_IF_ERROR(os::MakeDirAt(pod_dir, "monitor", 0755));
  if (monitor != 0) {
    PINION_RETURN_IF_ERROR_AS(
        os::WriteKernelFile(pod_dir, "monitor/cgroup.procs",
                            absl::StrCat(monitor)),
        absl::StrCat("move the monitor, process ", monitor));
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> controllers,
                          Controllers(pod_dir));
  EnableControllers(pod_dir, controllers);
  return absl::OkStatus();
}

absl::Status EnableAbove(const Hierarchy& hierarchy, int pod_dir,
                         const std::string& parent) {
  if (hierarchy.controllers.empty()) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> have,
                          Controllers(pod_dir));
  std::vector<std::string> lacking;
  for (const std::string& controller : hierarchy.controllers) {
    if (std::find(have.begin(), have.end(), controller) == have.end()) {
      lacking.push_back(controller);
    }
  }
  if (lacking.empty()) return absl::OkStatus();
  std::string path;
  for (const absl::string_view part : absl::StrSplit(parent, '/')) {
    if (!part.empty()) absl::StrAppend(&path, "/", part);
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                            OpenCgroup(hierarchy.root, path));
    EnableControllers(dir.get(), lacking);
  }
  return absl::OkStatus();
}

absl::Status MarkOwner(int pod_dir, const std::string& owner) {
  if (owner.empty()) return absl::OkStatus();
  if (fsetxattr(pod_dir, kOwnerAttribute, owner.data(), owner.size(), 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("fsetxattr ", kOwnerAttribute));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FoundPod>> FindPods(const std::string& root,
                                               const std::string& owner) {
  std::vector<FoundPod> found;
  std::deque<std::string> left = {""};
  while (!left.empty()) {
    const std::string path = std::move(left.front());
    left.pop_front();
    std::error_code error;
    std::filesystem::directory_iterator entries(root + path, error);
    if (error) {
      if (path.empty()) {
        return os::ErrnoStatus(error.value(), absl::StrCat("opendir ", root));
      }
      continue;
    }
    for (; entries != std::filesystem::directory_iterator();
         entries.increment(error)) {
      // The type comes with readdir(3); no file is looked at.
      if (!entries->is_directory(error)) continue;
      const std::string name = entries->path().filename().string();
      std::string below = absl::StrCat(path, "/", name);
      const auto id = PodIdOfCgroup(name);
      if (!id) {
        left.push_back(std::move(below));
      } else if (IsOwnedBy(root + below, owner)) {
        found.push_back({*id, std::move(below)});
      }
    }
  }
  return found;
}

absl::StatusOr<std::vector<std::string>> PodIds(const std::string& root,
                                                const std::string& owner) {
  PINION_ASSIGN_OR_RETURN(const std::vector<FoundPod> pods,
                          FindPods(root, owner));
  std::vector<std::string> ids;
  for (const FoundPod& pod : pods) ids.push_back(pod.id);
  return ids;
}

absl::StatusOr<std::string> FindPod(const std::string& root,
                                    const std::string& pod_id) {
  PINION_ASSIGN_OR_RETURN(const std::vector<FoundPod> pods, FindPods(root, ""));
  for (const FoundPod& pod : pods) {
    if (pod.id == pod_id) return pod.path;
  }
  return std::string();
}

}  // namespace pinion::cgroup
