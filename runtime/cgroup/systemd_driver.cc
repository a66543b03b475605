// The pod's cgroup as a transient scope of systemd.
//
// One D-Bus round trip makes it; removing takes none in the good case: systemd
// itself collects a scope that is empty. The properties, and why:
//
//   Slice            what the kubelet asks for
//   PIDs             the monitor; a scope needs a first process
//   Delegate         everything below is pinion's, no reload touches it
//   CollectMode      a failed scope is forgotten too: nothing piles up
//   TasksMax         infinity: systemd's default would be a hidden limit on a
//                    pod; the kubelet limits pids in the slice
//
// What is left to systemd's defaults: KillMode=control-group (a `systemctl
// stop` gives every process SIGTERM, then SIGKILL) and DefaultDependencies=yes
// (so that pods end early at shutdown, while the network is still there; a
// kubelet with graceful shutdown has ended them before). Nothing a pod's
// annotations say gets here.

#include "runtime/cgroup/systemd_driver.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <semaphore>
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
#include "runtime/cgroup/pod_subtree.h"
#include "runtime/cgroup/protection.h"
#include "runtime/cgroup/slice_name.h"

namespace pinion::cgroup {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kKillTimeout{10};
// The values are in the files already.
constexpr std::chrono::seconds kPropertiesTimeout{5};
// Where systemd keeps the files of transient units, as long as it knows them.
constexpr char kTransientDir[] = "/run/systemd/transient/";
// The kernel gives a user 128 inotify instances by default
// (fs.inotify.max_user_instances); a node may remove 270 pods at once.
constexpr int kMaxWatches = 32;

std::string ParentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool Exists(const std::string& path) {
  struct stat st = {};
  return stat(path.c_str(), &st) == 0;
}

// Waits until a directory is gone: inotify on its parent, since a cgroup
// itself reports no deletion. False: it is still there when `deadline`, which
// may move meanwhile, has passed.
bool WaitGone(const std::string& directory,
              const std::function<Deadline()>& deadline) {
  const os::UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_add_watch(inotify.get(), ParentOf(directory).c_str(),
                        IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR) < 0) {
    return !Exists(directory);
  }
  while (Exists(directory)) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                          deadline() - steady_clock::now())
                          .count();
    if (left <= 0) return false;
    pollfd wait = {inotify.get(), POLLIN, 0};
    poll(&wait, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    char events[4096];
    while (read(inotify.get(), events, sizeof(events)) > 0) {
    }
  }
  return true;
}

// The cgroup below which systemd (PID 1) keeps its units: "" but where it runs
// in a container.
std::string ManagerRoot() {
  const auto text = os::ReadFileAt(AT_FDCWD, "/proc/1/cgroup");
  if (!text.ok()) return "";
  static constexpr char kInit[] = "/init.scope";
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::StartsWith(line, "0::")) continue;
    const absl::string_view path = line.substr(3);
    if (!absl::EndsWith(path, kInit)) return "";
    return std::string(path.substr(0, path.size() - sizeof(kInit) + 1));
  }
  return "";
}

class SystemdDriver final : public PodCgroupDriver {
 public:
  SystemdDriver(DriverOptions options, std::unique_ptr<os::SystemdBus> bus,
                const SystemdTimeouts& timeouts)
      : options_(std::move(options)),
        bus_(std::move(bus)),
        timeouts_(timeouts),
        manager_root_(ManagerRoot()) {}

  DriverKind kind() const override { return DriverKind::kSystemd; }

  absl::Status CheckParent(const std::string& cgroup_parent) const override {
    return SliceOf(Parent(cgroup_parent)).status();
  }

  std::string PathOf(const std::string& pod_id,
                     const std::string& cgroup_parent) const override {
    const auto slice = SliceOf(Parent(cgroup_parent));
    if (!slice.ok()) return "";
    return absl::StrCat(manager_root_, SlicePath(*slice), "/",
                        UnitName(pod_id));
  }

  absl::Status Create(const std::string& pod_id,
                      const std::string& cgroup_parent,
                      const std::string& description, pid_t monitor) override {
    PINION_RETURN_IF_ERROR(CheckPodId(pod_id));
    PINION_ASSIGN_OR_RETURN(const std::string slice,
                            SliceOf(Parent(cgroup_parent)));
    const std::string path = PathOf(pod_id, cgroup_parent);
    absl::Status status = bus_->StartTransientUnit(
        UnitName(pod_id), Properties(slice, description, monitor),
        steady_clock::now() + timeouts_.job);
    const bool started = status.ok();
    if (started) status = SetUp(path, monitor);
    if (status.ok()) return status;
    Undo(pod_id, path, started);
    return Annotate(status, absl::StrCat("scope of ", path));
  }

  absl::Status Remove(const std::string& pod_id,
                      const std::string& path) override {
    PINION_RETURN_IF_ERROR(CheckPodId(pod_id));
    PINION_ASSIGN_OR_RETURN(const std::string where,
                            path.empty()
                                ? FindPod(options_.hierarchy.root, pod_id)
                                : absl::StatusOr<std::string>(path));
    if (where.empty()) return absl::OkStatus();
    PINION_RETURN_IF_ERROR(CheckCgroupPath(where));
    auto dir = OpenCgroup(options_.hierarchy.root, where);
    if (absl::IsNotFound(dir.status())) return TakeBack(pod_id);
    PINION_RETURN_IF_ERROR(dir.status());
    PINION_RETURN_IF_ERROR(KillTree(dir->get(), where));
    PINION_RETURN_IF_ERROR(
        WaitEmpty(dir->get(), where, steady_clock::now() + kKillTimeout));
    // The scope's own directory is left to systemd: were it removed here, the
    // event by which systemd learns that the scope is empty might be lost
    // with it, and the unit would stay "active" for ever.
    (void)RemoveChildren(dir->get(), where);
    const std::string full = options_.hierarchy.root + where;
    watches_.acquire();
    const bool gone = WaitCollected(full);
    watches_.release();
    if (gone) return absl::OkStatus();
    PINION_RETURN_IF_ERROR(
        bus_->StopUnit(UnitName(pod_id), steady_clock::now() + timeouts_.job));
    // Not a scope's any more, or never was one.
    return RemoveCgroup(options_.hierarchy.root, where,
                        steady_clock::now() + kKillTimeout);
  }

  absl::Status KeepProtection(const std::string& path,
                              const Protection& protection) override {
    return bus_->SetUnitProperties(
        path.substr(path.rfind('/') + 1),
        {{"MemoryMin", protection.min}, {"MemoryLow", protection.low}},
        steady_clock::now() + kPropertiesTimeout);
  }

  absl::StatusOr<std::vector<std::string>> ListPods() override {
    return PodIds(options_.hierarchy.root, options_.owner);
  }

 private:
  static std::string UnitName(const std::string& pod_id) {
    return PodUnitStem(pod_id) + ".scope";
  }

  static absl::Status CheckPodId(const std::string& pod_id) {
    if (IsId(pod_id)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("\"", pod_id, "\" is no pod id"));
  }

  const std::string& Parent(const std::string& cgroup_parent) const {
    return cgroup_parent.empty() ? options_.default_parent : cgroup_parent;
  }

  static std::vector<os::UnitProperty> Properties(
      const std::string& slice, const std::string& description, pid_t monitor) {
    return {{"Description", SanitizeDescription(description)},
            {"Slice", slice},
            {"PIDs", std::vector<uint32_t>{static_cast<uint32_t>(monitor)}},
            {"Delegate", true},
            {"CollectMode", std::string("inactive-or-failed")},
            {"TasksMax", UINT64_MAX}};
  }

  absl::Status SetUp(const std::string& path, pid_t monitor) {
    PINION_ASSIGN_OR_RETURN_AS(const os::UniqueFd dir,
                               OpenCgroup(options_.hierarchy.root, path),
                               "systemd started the scope elsewhere");
    PINION_RETURN_IF_ERROR(MarkOwner(dir.get(), options_.owner));
    // systemd hands on what it knows; hugetlb, rdma and misc it does not.
    PINION_RETURN_IF_ERROR(
        EnableAbove(options_.hierarchy, dir.get(), ParentOf(path)));
    return SetUpPodSubtree(dir.get(), monitor);
  }

  // While systemd collects others it is only busy: to ask it for each of a
  // hundred scopes is what would keep it so.
  bool WaitCollected(const std::string& directory) {
    const Deadline begin = steady_clock::now();
    const bool gone = WaitGone(directory, [&] {
      const Deadline progress = last_gone_.load();
      return std::min(std::max(begin, progress) + timeouts_.collect,
                      begin + timeouts_.job);
    });
    if (gone) last_gone_ = steady_clock::now();
    return gone;
  }

  // A unit without a cgroup: none any more, or none yet, if a start was under
  // way when the daemon that asked for it was killed. Asks systemd only if it
  // knows the unit.
  absl::Status TakeBack(const std::string& pod_id) {
    const std::string unit = UnitName(pod_id);
    if (!Exists(kTransientDir + unit)) return absl::OkStatus();
    return bus_->StopUnit(unit, steady_clock::now() + timeouts_.job);
  }

  // A failed Create takes away what it made, but not a pod that runs: one
  // with leaves besides monitor/. A systemd that did not start it in time is
  // not waited for once more.
  void Undo(const std::string& pod_id, const std::string& path, bool started) {
    auto dir = OpenCgroup(options_.hierarchy.root, path);
    if (!dir.ok()) return bus_->AbandonUnit(UnitName(pod_id));
    const auto children = ChildCgroups(dir->get(), path);
    if (!children.ok() || children->size() > 1 ||
        (children->size() == 1 && children->front() != "monitor")) {
      return;
    }
    if (!started) {
      (void)KillTree(dir->get(), path);
      return bus_->AbandonUnit(UnitName(pod_id));
    }
    const absl::Status status = Remove(pod_id, path);
    if (!status.ok()) {
      Log(LogLevel::kWarning, "a pod's scope could not be undone",
          {{"pod", pod_id}, {"error", status.ToString()}});
    }
  }

  const DriverOptions options_;
  const std::unique_ptr<os::SystemdBus> bus_;
  const SystemdTimeouts timeouts_;
  const std::string manager_root_;
  std::counting_semaphore<kMaxWatches> watches_{kMaxWatches};
  // When systemd collected a scope last.
  std::atomic<Deadline> last_gone_ = Deadline::min();
};

}  // namespace

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriverOn(
    const DriverOptions& options, std::unique_ptr<os::SystemdBus> bus,
    const SystemdTimeouts& timeouts) {
  DriverOptions own = options;
  if (own.default_parent.empty()) own.default_parent = "pinion.slice";
  PINION_RETURN_IF_ERROR_AS(SliceOf(own.default_parent).status(),
                            "default cgroup parent");
  return std::unique_ptr<PodCgroupDriver>(std::make_unique<SystemdDriver>(
      std::move(own), std::move(bus), timeouts));
}

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriver(
    const DriverOptions& options) {
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<os::SystemdBus> bus,
                          os::SystemdBus::Create());
  return NewSystemdDriverOn(options, std::move(bus));
}

}  // namespace pinion::cgroup
