#include "runtime/plan/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::plan {
namespace {

constexpr char kAll[] = "rwm";
// The host's /dev is not deep; a loop of links is not followed anyway.
constexpr int kMaxDepth = 8;
constexpr size_t kMaxDevices = 16384;

struct Default {
  const char* path;
  uint32_t major;
  uint32_t minor;
};

// Documentation/admin-guide/devices.txt.
constexpr Default kDefaults[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

bool IsDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
}

launch::DeviceNode Node(const std::string& path, const struct stat& st) {
  launch::DeviceNode node;
  node.path = path;
  node.type = S_ISBLK(st.st_mode) ? 'b' : 'c';
  node.major = major(st.st_rdev);
  node.minor = minor(st.st_rdev);
  node.mode = st.st_mode & 0777;
  node.uid = st.st_uid;
  node.gid = st.st_gid;
  return node;
}

// Absolute, without "." and "..": such a node would lie elsewhere than it
// says.
bool IsPlainAbsolute(const std::string& path) {
  if (path.empty() || path[0] != '/') return false;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "." || part == "..") return false;
  }
  return path.find('\0') == std::string::npos;
}

absl::Status CheckPermissions(const std::string& permissions) {
  for (const char c : permissions) {
    if (!absl::StrContains(kAll, std::string(1, c))) {
      return absl::InvalidArgumentError(
          absl::StrCat("device permissions \"", permissions, "\""));
    }
  }
  return absl::OkStatus();
}

class Collector {
 public:
  void Add(const launch::DeviceNode& node) {
    if (paths_.insert(node.path).second) set_.nodes.push_back(node);
  }

  // One rule for each device: an open for reading and writing is allowed only
  // if a single rule has both.
  void Allow(const launch::DeviceNode& node, const std::string& access) {
    const auto [at, added] = rules_.emplace(
        std::tuple(node.type, node.major, node.minor), set_.rules.size());
    if (added) {
      set_.rules.push_back({node.type, node.major, node.minor, access});
      return;
    }
    std::string& all = set_.rules[at->second].access;
    for (const char c : access) {
      if (all.find(c) == std::string::npos) all.push_back(c);
    }
  }

  // Devices below `host`, as `container`/…; links are left out, as what they
  // lead to is found by itself. With an empty `access` no rules are made.
  absl::Status AddTree(const std::string& host, const std::string& container,
                       const std::string& access, int depth) {
    if (depth > kMaxDepth) return absl::OkStatus();
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            os::ListDirAt(AT_FDCWD, host));
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(host, "/", name);
      const std::string inside = absl::StrCat(container, "/", name);
      struct stat st;
      // What went away meanwhile is not there.
      if (lstat(path.c_str(), &st) != 0) continue;
      if (S_ISDIR(st.st_mode) && !IsOwnInContainers(inside)) {
        PINION_RETURN_IF_ERROR(AddTree(path, inside, access, depth + 1));
      } else if (IsDevice(st) && inside != "/dev/console") {
        if (set_.nodes.size() >= kMaxDevices) {
          return absl::ResourceExhaustedError(
              absl::StrCat("more than ", kMaxDevices, " devices"));
        }
        const launch::DeviceNode node = Node(inside, st);
        Add(node);
        if (!access.empty()) Allow(node, access);
      }
    }
    return absl::OkStatus();
  }

  DeviceSet Take() { return std::move(set_); }
  DeviceSet& set() { return set_; }

 private:
  // File systems that every container has for itself.
  static bool IsOwnInContainers(const std::string& path) {
    return path == "/dev/pts" || path == "/dev/shm" || path == "/dev/mqueue";
  }

  DeviceSet set_;
  std::set<std::string> paths_;
  // Where in set_.rules a device's rule is.
  std::map<std::tuple<char, uint32_t, uint32_t>, size_t> rules_;
};

absl::Status AddRequest(const DeviceRequest& request, Collector& collector) {
  const std::string& inside = request.container_path.empty()
                                  ? request.host_path
                                  : request.container_path;
  if (!IsPlainAbsolute(request.host_path) || !IsPlainAbsolute(inside)) {
    return absl::InvalidArgumentError(
        absl::StrCat("device path \"", request.host_path, "\" as \"", inside,
                     "\": not a plain absolute path"));
  }
  PINION_RETURN_IF_ERROR(CheckPermissions(request.permissions));
  const std::string access =
      request.permissions.empty() ? kAll : request.permissions;
  struct stat st;
  if (stat(request.host_path.c_str(), &st) != 0) {
    return os::ErrnoStatus(
        absl::StrCat("devices: stat host_path ", request.host_path));
  }
  if (S_ISDIR(st.st_mode)) {
    return collector.AddTree(request.host_path, inside, access, 0);
  }
  if (!IsDevice(st)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.host_path, " is not a device"));
  }
  const launch::DeviceNode node = Node(inside, st);
  collector.Add(node);
  collector.Allow(node, access);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeviceSet> CompileDevices(
    const std::vector<DeviceRequest>& requested, bool privileged) {
  Collector collector;
  for (const Default& d : kDefaults) {
    launch::DeviceNode node;
    node.path = d.path;
    node.major = d.major;
    node.minor = d.minor;
    collector.Add(node);
    collector.Allow(node, kAll);
  }
  for (const DeviceRequest& request : requested) {
    PINION_RETURN_IF_ERROR(AddRequest(request, collector));
  }
  if (privileged) {
    PINION_RETURN_IF_ERROR(collector.AddTree("/dev", "/dev", "", 0));
    collector.set().rules = {{'c', -1, -1, kAll}, {'b', -1, -1, kAll}};
    return collector.Take();
  }
  std::vector<cgroup::DeviceRule>& rules = collector.set().rules;
  rules.push_back({'c', -1, -1, "m"});
  rules.push_back({'b', -1, -1, "m"});
  rules.push_back({'c', 5, 1, kAll});     // console
  rules.push_back({'c', 5, 2, kAll});     // ptmx
  rules.push_back({'c', 136, -1, kAll});  // pts
  return collector.Take();
}

void AddDevice(const launch::DeviceNode& node, const std::string& permissions,
               DeviceSet& set) {
  const auto same = std::find_if(
      set.nodes.begin(), set.nodes.end(),
      [&node](const auto& other) { return other.path == node.path; });
  if (same != set.nodes.end()) {
    *same = node;
  } else {
    set.nodes.push_back(node);
  }
  set.rules.push_back({node.type, node.major, node.minor, permissions});
}

}  // namespace pinion::plan
