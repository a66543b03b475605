#include "runtime/cgroup/container_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/cgroup_dir.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/device_filter.h"
#include "runtime/cgroup/device_program.h"
#include "runtime/cgroup/drift_guard.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limit_book.h"
#include "runtime/cgroup/limit_files.h"
#include "runtime/cgroup/limit_writer.h"
#include "runtime/cgroup/memory_hold.h"
#include "runtime/cgroup/protection.h"

namespace pinion::cgroup {
namespace {

constexpr char kIgnore[] = " (or set cgroup.missing_controllers = \"ignore\")";

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

bool AsksForProtection(const std::vector<Setting>& settings) {
  return std::any_of(settings.begin(), settings.end(), [](const Setting& s) {
    return s.file == "memory.min" || s.file == "memory.low";
  });
}

}  // namespace

ContainerCgroups::ContainerCgroups(Hierarchy hierarchy,
                                   MissingControllers missing,
                                   ContainerCgroupsOptions options)
    : hierarchy_(std::move(hierarchy)),
      missing_(missing),
      options_(options),
      filters_(std::make_unique<DeviceFilters>()),
      book_(std::make_unique<LimitBook>(hierarchy_.root)),
      promises_(std::make_unique<Promises>()) {}

ContainerCgroups::~ContainerCgroups() = default;

absl::Status ContainerCgroups::StartGuard() {
  if (options_.drift == DriftMode::kOff) return absl::OkStatus();
  DriftGuard::Options options;
  options.mode = options_.drift;
  options.metrics = options_.metrics;
  PINION_ASSIGN_OR_RETURN_AS(guard_, DriftGuard::Start(options, book_.get()),
                             "drift guard");
  return absl::OkStatus();
}

void ContainerCgroups::EndGuard() { DropHolds(*book_); }

std::shared_ptr<BookedCgroup> ContainerCgroups::Enter(const std::string& path,
                                                      bool* made) {
  *made = false;
  if (guard_ == nullptr) return nullptr;
  auto booked = book_->Enter(path, made);
  return booked.ok() ? *std::move(booked) : nullptr;
}

void ContainerCgroups::Unbook(const std::string& path) {
  if (guard_ == nullptr) return;
  for (const BookedCgroupPtr& gone : book_->Forget(path)) guard_->Unwatch(gone);
}

void ContainerCgroups::GuardPod(const std::string& pod_path, bool owed) {
  if (owed) promises_->Owe(pod_path);
  const absl::Status passed = PassProtection(pod_path);
  if (passed.ok() || absl::IsNotFound(passed)) return;
  Log(LogLevel::kWarning, "a pod's memory protection was not passed on",
      {{"cgroup", pod_path}, {"error", passed.ToString()}});
}

void ContainerCgroups::LowerProtection(const std::string& pod_path) {
  const auto written = WriteProtection(pod_path, promises_->SumBelow(pod_path));
  if (written.ok() || absl::IsNotFound(written.status())) return;
  Log(LogLevel::kWarning, "a pod's memory protection was not lowered",
      {{"cgroup", pod_path}, {"error", written.status().ToString()}});
}

void ContainerCgroups::Guard(const std::string& pod_path,
                             const std::string& container_id,
                             const state::Resources& resources) {
  const auto path = LeafPath(pod_path, container_id);
  if (!path.ok()) return;
  const auto leaf = OpenCgroup(hierarchy_.root, *path);
  if (!leaf.ok()) return;
  auto settings = LeafSettings(resources, leaf->get());
  if (settings.ok()) {
    promises_->Ask(*path, *settings);
    if (book_->Find(*path) == nullptr) EndOldHold(leaf->get(), *settings);
  }
  bool made = false;
  const auto booked = Enter(*path, &made);
  if (booked == nullptr) return;
  {
    const absl::MutexLock lock(&booked->mutex);
    // What is in force was checked when it was asked for.
    if (settings.ok()) booked->wanted = *std::move(settings);
  }
  // Not before, for the first look takes what nobody wants as it is.
  if (made) {
    guard_->Watch(booked);
  } else {
    guard_->LookSoon(booked);
  }
}

bool ContainerCgroups::Unguard(const std::string& path) {
  Unbook(path);
  return promises_->End(path);
}

// docs/decisions/memory_protection.md
absl::StatusOr<bool> ContainerCgroups::WriteProtection(
    const std::string& pod_path, const Protection& sum) {
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd pod,
                          OpenCgroup(hierarchy_.root, pod_path));
  const bool promises =
      sum != Protection() || ProtectionOf(pod.get()) != Protection();
  WriteOptions options;
  // Without the controller there is nothing to protect.
  options.on_missing = [](const Setting&) { return absl::OkStatus(); };
  PINION_RETURN_IF_ERROR(
      ApplyNoted(pod.get(), pod_path, sum.ToSettings(), options));
  return promises;
}

absl::Status ContainerCgroups::PassProtection(const std::string& pod_path) {
  const bool owed = promises_->Settle(pod_path);
  const Protection sum = promises_->SumBelow(pod_path);
  const auto promises = WriteProtection(pod_path, sum);
  if (!promises.ok()) {
    if (owed && !absl::IsNotFound(promises.status())) promises_->Owe(pod_path);
    return promises.status();
  }
  if ((*promises || owed) && options_.keep_protection) {
    const absl::Status kept = options_.keep_protection(pod_path, sum);
    if (!kept.ok()) {
      Log(LogLevel::kWarning, "a pod's memory protection may be set back",
          {{"cgroup", pod_path}, {"error", kept.ToString()}});
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Setting>> ContainerCgroups::LeafSettings(
    const state::Resources& resources, int leaf) const {
  PINION_ASSIGN_OR_RETURN(std::vector<Setting> settings, ToSettings(resources));
  // Missing with the memory controller: no OOM of the leaf's own either.
  if (options_.oom_group &&
      resources.unified().count("memory.oom.group") == 0 &&
      faccessat(leaf, "memory.oom.group", F_OK, 0) == 0) {
    settings.push_back({"memory.oom.group", "1"});
  }
  return settings;
}

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
                     MissingControllerRemedy(hierarchy_, controller), kIgnore));
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
                          Controllers(pod.get(), kControl));
  if (HasController(there, controller)) {
    return absl::FailedPreconditionError(
        absl::StrCat("this kernel has no cgroup file ", setting.file,
                     " (wanted: ", setting.value, ")"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      setting.file, " = ", setting.value, " needs the ", controller,
      " controller: ", MissingControllerRemedy(hierarchy_, controller),
      kIgnore));
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
  return ApplyNoted(leaf, path, settings, std::move(options));
}

absl::Status ContainerCgroups::ApplyNoted(int dir, const std::string& path,
                                          const std::vector<Setting>& settings,
                                          WriteOptions options) {
  bool made = false;
  const auto booked = Enter(path, &made);
  if (booked == nullptr) return ApplySettings(dir, path, settings, options);
  // The guard waits so long, and then compares with what holds now.
  std::vector<std::string> files;
  for (const Setting& setting : settings) files.push_back(setting.file);
  const FileClaim claim = FileClaim::Wait(booked, files);
  if (made) guard_->Watch(booked);
  std::map<std::string, std::string> noted;
  std::map<std::string, std::string> undone;
  options.noted = [&noted](const std::string& file, const std::string& text) {
    noted[file] = text;
  };
  options.undone = [&undone](const std::string& file, const std::string& text) {
    undone[file] = text;
  };
  const absl::Status applied =
      ApplySettings(dir, path, WithoutHeld(*booked, settings), options);
  {
    const absl::MutexLock lock(&booked->mutex);
    Note(*booked, applied.ok() ? noted : undone);
  }
  if (applied.ok()) SettleHold(booked, settings, noted);
  return applied;
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Create(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources& resources) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_RETURN_IF_ERROR(ToSettings(resources).status());
  const std::string full = hierarchy_.root + path;
  const bool made = mkdir(full.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) {
    return os::ErrnoStatus(absl::StrCat("mkdir ", full));
  }
  auto leaf = OpenCgroup(hierarchy_.root, path);
  absl::Status status = leaf.status();
  if (status.ok())
    status = Establish(leaf->get(), pod_path, path, resources, !made);
  if (!status.ok()) {
    if (made) Unguard(path);
    // EBUSY: it was there before and is in use; that one stays.
    rmdir(full.c_str());
    return status;
  }
  return leaf;
}

absl::Status ContainerCgroups::Establish(int leaf, const std::string& pod_path,
                                         const std::string& path,
                                         const state::Resources& resources,
                                         bool occupied) {
  PINION_ASSIGN_OR_RETURN(const std::vector<Setting> settings,
                          LeafSettings(resources, leaf));
  PINION_RETURN_IF_ERROR(Apply(leaf, pod_path, path, settings, occupied));
  if (!AsksForProtection(settings)) return absl::OkStatus();
  const Protection before = promises_->Ask(path, settings);
  const absl::Status passed = PassProtection(pod_path);
  if (!passed.ok()) promises_->Set(path, before);
  return passed;
}

absl::Status ContainerCgroups::Update(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources& resources,
    const std::function<absl::Status()>& commit,
    const std::set<std::string>* only) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(std::vector<Setting> settings, ToSettings(resources));
  std::erase_if(settings, [only](const Setting& s) {
    return only != nullptr && only->count(s.file) == 0;
  });
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd leaf,
                          OpenCgroup(hierarchy_.root, path));
  const bool protects = AsksForProtection(settings);
  Protection before;
  bool passed = false;
  const absl::Status status =
      Apply(leaf.get(), pod_path, path, settings, /*occupied=*/true, [&] {
        if (protects) {
          before = promises_->Ask(path, settings);
          passed = true;
          PINION_RETURN_IF_ERROR(PassProtection(pod_path));
        }
        return commit ? commit() : absl::OkStatus();
      });
  if (!status.ok() && passed) {
    // The leaf has what it had before, and so shall the pod.
    promises_->Set(path, before);
    (void)PassProtection(pod_path);
  }
  return status;
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
  if (!mems.empty()) settings.push_back({kMems, mems.ToString()});
  settings.push_back({kCpus, cpus.ToString()});
  bool made = false;
  // Other leaves are entered by who makes them, with all their limits, and are
  // taken out when they end: not to be entered again then.
  const auto booked =
      leaf == kMonitorLeaf ? Enter(path, &made) : book_->Find(path);
  if (booked == nullptr) {
    return WriteCpus(dir.get(), pod_path, path, settings, cpus);
  }
  std::vector<std::string> files;
  for (const Setting& setting : settings) files.push_back(setting.file);
  const FileClaim claim = FileClaim::Wait(booked, files);
  if (made) guard_->Watch(booked);
  PINION_ASSIGN_OR_RETURN(CpuSet effective,
                          WriteCpus(dir.get(), pod_path, path, settings, cpus));
  std::map<std::string, std::string> noted;
  for (const std::string& file : files) {
    auto text = os::ReadFileAt(dir.get(), file);
    if (text.ok()) noted[file] = *std::move(text);
  }
  const absl::MutexLock lock(&booked->mutex);
  Note(*booked, noted);
  return effective;
}

absl::StatusOr<CpuSet> ContainerCgroups::WriteCpus(
    int dir, const std::string& pod_path, const std::string& path,
    const std::vector<Setting>& settings, const CpuSet& cpus) {
  for (const Setting& setting : settings) {
    const absl::Status status =
        os::WriteKernelFile(dir, setting.file, setting.value);
    if (absl::IsNotFound(status)) {
      // The leaf went meanwhile, or there is no controller.
      PINION_RETURN_IF_ERROR(OpenCgroup(hierarchy_.root, path).status());
      PINION_RETURN_IF_ERROR(OnMissing(pod_path, setting));
      return cpus;
    }
    PINION_RETURN_IF_ERROR_AS(status, absl::StrCat("cgroup ", path));
  }
  return InForce(dir, kCpus);
}

absl::Status ContainerCgroups::FreeMemoryNodes(
    const std::string& pod_path, const std::string& container_id) {
  PINION_ASSIGN_OR_RETURN(const std::string path,
                          LeafPath(pod_path, container_id));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                          OpenCgroup(hierarchy_.root, path));
  const auto booked = book_->Find(path);
  std::optional<FileClaim> claim;
  if (booked != nullptr) claim.emplace(FileClaim::Wait(booked, {kMems}));
  const auto before = os::ReadFileAt(dir.get(), kMems);
  if (absl::IsNotFound(before.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(before.status());
  PINION_ASSIGN_OR_RETURN_AS(const std::string now,
                             RestoreLimit(dir.get(), kMems, "", *before),
                             absl::StrCat("cgroup ", path));
  if (booked == nullptr) return absl::OkStatus();
  const absl::MutexLock lock(&booked->mutex);
  Note(*booked, {{kMems, now}});
  return absl::OkStatus();
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
  // What it was promised goes with it.
  Unguard(path);
  PINION_RETURN_IF_ERROR(RemovePath(hierarchy_.root, path));
  if (!promises_->IsOwed(pod_path)) return absl::OkStatus();
  const absl::Status passed = PassProtection(pod_path);
  return absl::IsNotFound(passed) ? absl::OkStatus() : passed;
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
