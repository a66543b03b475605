#include "runtime/cgroup/container_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/cgroup_dir.h"
#include "runtime/cgroup/device_filter.h"
#include "runtime/cgroup/device_program.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limit_files.h"
#include "runtime/cgroup/limit_writer.h"

namespace pinion::cgroup {
namespace {

// A killed tree is usually gone in milliseconds; processes in uninterruptible
// sleep (a hung NFS mount) may hold out.
constexpr std::chrono::seconds kRemoveTimeout{10};
// Distinct `file` labels of the metric.
constexpr size_t kMaxIgnoredFiles = 64;

absl::StatusOr<std::string> LeafPath(const std::string& pod_path,
                                     const std::string& container_id) {
  PINION_RETURN_IF_ERROR(CheckCgroupPath(pod_path));
  PINION_RETURN_IF_ERROR(CheckLeafName(container_id));
  return absl::StrCat(pod_path, "/", container_id);
}

absl::StatusOr<std::string> ExecPath(const std::string& pod_path,
                                     const std::string& container_id,
                                     const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string leaf,
                          LeafPath(pod_path, container_id));
  PINION_RETURN_IF_ERROR(CheckLeafName(exec_id));
  return absl::StrCat(leaf, "/exec-", exec_id);
}

absl::Status KillPath(const std::string& root, const std::string& path) {
  auto dir = OpenCgroup(root, path);
  if (absl::IsNotFound(dir.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(dir.status());
  return KillTree(dir->get(), path);
}

absl::Status RemovePath(const std::string& root, const std::string& path) {
  return RemoveCgroup(root, path,
                      std::chrono::steady_clock::now() + kRemoveTimeout);
}

bool HasController(const std::vector<std::string>& controllers,
                   const std::string& controller) {
  return std::find(controllers.begin(), controllers.end(), controller) !=
         controllers.end();
}

// A limit of nothing is no reason to refuse: the kubelet always sends 0 for
// every huge page size, and Create decides what that means on this machine.
bool IsHugePageZero(const Setting& setting) {
  return ControllerOf(setting.file) == "hugetlb" && setting.value == "0";
}

}  // namespace

ContainerCgroups::ContainerCgroups(Hierarchy hierarchy,
                                   MissingControllers missing,
                                   ContainerCgroupsOptions options)
    : hierarchy_(std::move(hierarchy)),
      missing_(missing),
      options_(options),
      filters_(std::make_unique<DeviceFilters>()) {}

ContainerCgroups::~ContainerCgroups() = default;

absl::Status ContainerCgroups::Check(const state::Resources& resources) const {
  PINION_ASSIGN_OR_RETURN(const std::vector<Setting> settings,
                          ToSettings(resources));
  if (missing_ == MissingControllers::kIgnore) return absl::OkStatus();
  for (const Setting& setting : settings) {
    const std::string controller = ControllerOf(setting.file);
    if (HasController(hierarchy_.controllers, controller) ||
        IsHugePageZero(setting)) {
      continue;
    }
    return absl::FailedPreconditionError(
        absl::StrCat(setting.file, " = ", setting.value, " needs the ",
                     controller, " controller in cgroup v2: ",
                     MissingControllerRemedy(hierarchy_, controller)));
  }
  return absl::OkStatus();
}

absl::Status ContainerCgroups::CountIgnored(const Setting& setting) {
  std::string label = setting.file;
  bool first = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (ignored_.count(label) == 0 && ignored_.size() >= kMaxIgnoredFiles) {
      label = "other";
    }
    first = ignored_.insert(label).second;
  }
  if (first) {
    Log(LogLevel::kWarning, "limits are ignored: the controller is missing",
        {{"file", setting.file}, {"first_value", setting.value}});
  }
  if (options_.metrics != nullptr) {
    options_.metrics
        ->AddCounter("pinion_cgroup_ignored_limits_total",
                     "Limits that were not applied because their cgroup "
                     "controller is missing.",
                     {{"file", label}})
        .Increment();
  }
  return absl::OkStatus();
}

absl::Status ContainerCgroups::OnMissing(const std::string& pod_path,
                                         const Setting& setting) {
  if (missing_ == MissingControllers::kIgnore) return CountIgnored(setting);
  const std::string controller = ControllerOf(setting.file);
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd pod,
                          OpenCgroup(hierarchy_.root, pod_path));
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> there,
                          Controllers(pod.get()));
  if (HasController(there, controller)) {
    return absl::FailedPreconditionError(
        absl::StrCat("this kernel has no cgroup file ", setting.file,
                     " (wanted: ", setting.value, ")"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      setting.file, " = ", setting.value, " needs the ", controller,
      " controller: ", MissingControllerRemedy(hierarchy_, controller)));
}

absl::Status ContainerCgroups::Apply(
    int leaf, const std::string& pod_path, const std::string& path,
    const std::vector<Setting>& settings, bool occupied,
    const std::function<absl::Status()>& commit) {
  WriteOptions options;
  options.on_missing = [&](const Setting& setting) {
    return OnMissing(pod_path, setting);
  };
  options.occupied = occupied;
  options.commit = commit;
  return ApplySettings(leaf, path, settings, options);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Create(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources& resources) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(std::vector<Setting> settings, ToSettings(resources));
  const std::string full = hierarchy_.root + path;
  const bool made = mkdir(full.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) {
    return os::ErrnoStatus(absl::StrCat("mkdir ", full));
  }
  auto leaf = OpenCgroup(hierarchy_.root, path);
  absl::Status status = leaf.status();
  if (status.ok() && !settings.empty()) {
    status = Apply(leaf->get(), pod_path, path, settings, !made);
  }
  if (status.ok() && options_.oom_group &&
      resources.unified().count("memory.oom.group") == 0) {
    // Missing with the memory controller: no OOM of the leaf's own either.
    status = os::WriteKernelFile(leaf->get(), "memory.oom.group", "1");
    if (absl::IsNotFound(status)) status = absl::OkStatus();
  }
  if (!status.ok()) {
    // EBUSY: it was there before and is in use; that one stays.
    rmdir(full.c_str());
    return status;
  }
  return leaf;
}

absl::Status ContainerCgroups::Update(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources& resources,
    const std::function<absl::Status()>& commit) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(const std::vector<Setting> settings,
                          ToSettings(resources));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd leaf,
                          OpenCgroup(hierarchy_.root, path));
  return Apply(leaf.get(), pod_path, path, settings, /*occupied=*/true, commit);
}

absl::StatusOr<CpuSet> ContainerCgroups::SetCpus(const std::string& pod_path,
                                                 const std::string& leaf,
                                                 const CpuSet& cpus,
                                                 const CpuSet& mems) {
  PINION_RETURN_IF_ERROR(CheckCgroupPath(pod_path));
  if (leaf != kMonitorLeaf) PINION_RETURN_IF_ERROR(CheckLeafName(leaf));
  const std::string path = absl::StrCat(pod_path, "/", leaf);
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                          OpenCgroup(hierarchy_.root, path));
  std::vector<Setting> settings;
  if (!mems.empty()) settings.push_back({"cpuset.mems", mems.ToString()});
  settings.push_back({"cpuset.cpus", cpus.ToString()});
  for (const Setting& setting : settings) {
    const absl::Status status =
        os::WriteKernelFile(dir.get(), setting.file, setting.value);
    if (absl::IsNotFound(status)) {
      // The leaf went meanwhile, or there is no controller.
      PINION_RETURN_IF_ERROR(OpenCgroup(hierarchy_.root, path).status());
      PINION_RETURN_IF_ERROR(OnMissing(pod_path, setting));
      return cpus;
    }
    PINION_RETURN_IF_ERROR_AS(status, absl::StrCat("cgroup ", path));
  }
  PINION_ASSIGN_OR_RETURN(const std::string effective,
                          os::ReadFileAt(dir.get(), "cpuset.cpus.effective"));
  return CpuSet::Parse(effective);
}

absl::Status ContainerCgroups::SetDevices(
    int leaf_fd, const std::vector<DeviceRule>& rules) {
  PINION_ASSIGN_OR_RETURN(const std::vector<bpf_insn> program,
                          DeviceProgram(rules));
  return filters_->Attach(leaf_fd, program);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::CreateExec(
    const std::string& pod_path, const std::string& container_id,
    const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          ExecPath(pod_path, container_id, exec_id));
  const std::string full = hierarchy_.root + path;
  if (mkdir(full.c_str(), 0755) != 0 && errno != EEXIST) {
    return os::ErrnoStatus(absl::StrCat("mkdir ", full));
  }
  return OpenCgroup(hierarchy_.root, path);
}

absl::Status ContainerCgroups::Kill(const std::string& pod_path,
                                    const std::string& container_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  return KillPath(hierarchy_.root, path);
}

absl::Status ContainerCgroups::KillExec(const std::string& pod_path,
                                        const std::string& container_id,
                                        const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          ExecPath(pod_path, container_id, exec_id));
  return KillPath(hierarchy_.root, path);
}

absl::StatusOr<bool> ContainerCgroups::IsPopulated(
    const std::string& pod_path, const std::string& container_id) const {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd leaf,
                          OpenCgroup(hierarchy_.root, path));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd events,
                          os::OpenAt(leaf.get(), "cgroup.events", O_RDONLY));
  return cgroup::IsPopulated(events.get());
}

absl::Status ContainerCgroups::Remove(const std::string& pod_path,
                                      const std::string& container_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  return RemovePath(hierarchy_.root, path);
}

absl::Status ContainerCgroups::RemoveExec(const std::string& pod_path,
                                          const std::string& container_id,
                                          const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          ExecPath(pod_path, container_id, exec_id));
  const std::string full = hierarchy_.root + path;
  if (rmdir(full.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  const int error = errno;
  if (error == EBUSY) {
    return absl::FailedPreconditionError(
        absl::StrCat("rmdir ", full, ": EBUSY: something runs in it"));
  }
  return os::ErrnoStatus(error, absl::StrCat("rmdir ", full));
}

absl::Status ContainerCgroups::RemoveExecTree(const std::string& pod_path,
                                              const std::string& container_id,
                                              const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          ExecPath(pod_path, container_id, exec_id));
  return RemovePath(hierarchy_.root, path);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::ExecEvents(
    const std::string& pod_path, const std::string& container_id,
    const std::string& exec_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          ExecPath(pod_path, container_id, exec_id));
  return os::OpenAt(AT_FDCWD,
                    absl::StrCat(hierarchy_.root, path, "/cgroup.events"),
                    O_RDONLY);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Open(
    const std::string& pod_path) const {
  PINION_RETURN_IF_ERROR(CheckCgroupPath(pod_path));
  return OpenCgroup(hierarchy_.root, pod_path);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Open(
    const std::string& pod_path, const std::string& container_id) const {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  return OpenCgroup(hierarchy_.root, path);
}

absl::StatusOr<uint64_t> ContainerCgroups::OomKills(
    const std::string& pod_path, const std::string& container_id) const {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd leaf,
                          OpenCgroup(hierarchy_.root, path));
  const auto events = os::ReadFileAt(leaf.get(), "memory.events");
  if (absl::IsNotFound(events.status())) return 0;
  PINION_RETURN_IF_ERROR(events.status());
  for (const absl::string_view line : absl::StrSplit(*events, '\n')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint64_t count = 0;
    if (pair.first == "oom_kill" && absl::SimpleAtoi(pair.second, &count)) {
      return count;
    }
  }
  return absl::InternalError(
      absl::StrCat("memory.events of ", path, " has no oom_kill"));
}

}  // namespace pinion::cgroup
