#include "runtime/cgroup/hierarchy.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::cgroup {
namespace {

// mountinfo writes space, tab, newline and backslash as \ooo (proc(5)).
std::string Unescape(const std::string& text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
        is_octal(text[i + 2]) && is_octal(text[i + 3])) {
      result.push_back(static_cast<char>((text[i + 1] - '0') * 64 +
                                         (text[i + 2] - '0') * 8 +
                                         (text[i + 3] - '0')));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

// How much a mount point is preferred when v2 is mounted more than once.
int Rank(const std::string& mount_point) {
  if (mount_point == "/sys/fs/cgroup") return 2;
  if (mount_point == "/sys/fs/cgroup/unified") return 1;
  return 0;
}

}  // namespace

absl::StatusOr<Hierarchy> ParseHierarchy(std::string_view mountinfo) {
  Hierarchy best;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(mountinfo.data(), mountinfo.size()),
                      '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 7 || fields.end() - dash < 4) continue;
    const std::string& type = *(dash + 1);
    const std::string& options = *(dash + 3);
    // A named v1 hierarchy (name=systemd) holds no controller.
    if (type == "cgroup" && options.find("name=") == std::string::npos) {
      best.hybrid = true;
    }
    if (type != "cgroup2") continue;
    std::string mount_point = Unescape(fields[4]);
    if (best.root.empty() || Rank(mount_point) > Rank(best.root)) {
      best.root = std::move(mount_point);
    }
  }
  if (best.root.empty()) {
    return absl::FailedPreconditionError(
        "no cgroup v2 hierarchy is mounted: boot with "
        "systemd.unified_cgroup_hierarchy=1");
  }
  return best;
}

absl::StatusOr<Hierarchy> FindHierarchy() {
  PINION_ASSIGN_OR_RETURN(
      const std::string mountinfo,
      os::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", size_t{64} << 20));
  PINION_ASSIGN_OR_RETURN(Hierarchy hierarchy, ParseHierarchy(mountinfo));
  PINION_ASSIGN_OR_RETURN(
      const std::string controllers,
      os::ReadFileAt(AT_FDCWD, hierarchy.root + "/cgroup.controllers"));
  // On a hybrid host the root belongs to whoever mounted it, and pinion
  // enables nothing there: controllers listed at the root are out of reach.
  if (!hierarchy.hybrid) {
    hierarchy.controllers =
        absl::StrSplit(controllers, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  }
  return hierarchy;
}

std::string MissingControllerRemedy(const Hierarchy& hierarchy,
                                    const std::string& controller) {
  if (hierarchy.hybrid) {
    return absl::StrCat(
        "cgroup v1 holds the controllers of this host: boot with "
        "systemd.unified_cgroup_hierarchy=1");
  }
  const bool at_root =
      std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(),
                controller) != hierarchy.controllers.end();
  if (at_root) {
    return absl::StrCat("enable ", controller,
                        " in cgroup.subtree_control of every parent");
  }
  return absl::StrCat("this kernel offers no ", controller,
                      " controller: look for cgroup_disable= on its command "
                      "line");
}

}  // namespace pinion::cgroup
