#include "runtime/runtime.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/detached_mount.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/context.h"
#include "runtime/mount_points.h"
#include "runtime/network_request.h"
#include "runtime/operations.h"
#include "runtime/writable_usage.h"

namespace pinion::runtime {
namespace {

constexpr int kWorkThreads = 2;
// How long a call waits for what a pod's monitor has to tell after a restart,
// and how long one that can do without it does.
constexpr std::chrono::seconds kKnownDeadline(5);
constexpr std::chrono::seconds kForcedDeadline(3);

bool AwaitKnown(const Pod& pod, std::chrono::seconds timeout) {
  return pod.known.WaitUntil(std::chrono::steady_clock::now() + timeout);
}

absl::Status RequireKnown(const Pod& pod) {
  if (AwaitKnown(pod, kKnownDeadline)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "pod sandbox ", pod.id, ": its monitor has not answered since the ",
      "daemon was restarted; is it stopped, or its log disk frozen?"));
}

class RuntimeImpl final : public Runtime {
 public:
  explicit RuntimeImpl(std::unique_ptr<Context> context)
      : context_(std::move(context)) {}

  absl::StatusOr<std::string> RunPod(const state::PodSpec& spec) override {
    return runtime::RunPod(*context_, spec);
  }
  absl::Status StopPod(const std::string& id) override {
    // It would end the monitor anyway.
    if (const auto pod = context_->objects.FindPod(id); pod.ok()) {
      (void)AwaitKnown(**pod, kForcedDeadline);
    }
    return runtime::StopPod(*context_, id);
  }
  absl::Status RemovePod(const std::string& id) override {
    if (const auto pod = context_->objects.FindPod(id); pod.ok()) {
      (void)AwaitKnown(**pod, kForcedDeadline);
    }
    return runtime::RemovePod(*context_, id);
  }
  std::vector<PodSnapshot> ListPods() const override {
    std::vector<PodSnapshot> snapshots;
    for (const PodPtr& pod : context_->objects.Pods()) {
      snapshots.push_back(pod->record.Get());
    }
    return snapshots;
  }
  absl::StatusOr<PodSnapshot> FindPod(const std::string& id) const override {
    PINION_ASSIGN_OR_RETURN(const PodPtr pod, context_->objects.FindPod(id));
    return pod->record.Get();
  }

  absl::StatusOr<std::string> CreateContainer(
      const std::string& pod_id, const state::ContainerSpec& spec) override {
    PINION_ASSIGN_OR_RETURN(const PodPtr pod,
                            context_->objects.FindPod(pod_id));
    PINION_RETURN_IF_ERROR(RequireKnown(*pod));
    return runtime::CreateContainer(*context_, pod_id, spec);
  }
  absl::Status StartContainer(const std::string& id) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(id));
    return runtime::StartContainer(*context_, id);
  }
  absl::Status StopContainer(const std::string& id,
                             std::chrono::seconds grace) override {
    const absl::Status known = RequireKnownPodOf(id);
    // What the records say runs can be killed without its monitor.
    if (!known.ok() && !Runs(id)) return known;
    return runtime::StopContainer(*context_, id, grace);
  }
  void EndWaits() override {
    context_->stopping = true;
    for (const ContainerPtr& container : context_->objects.Containers()) {
      container->record.Wake();
    }
  }
  absl::Status RemoveContainer(const std::string& id) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(id));
    return runtime::RemoveContainer(*context_, id);
  }
  std::vector<ContainerSnapshot> ListContainers() const override {
    std::vector<ContainerSnapshot> snapshots;
    for (const ContainerPtr& container : context_->objects.Containers()) {
      snapshots.push_back(container->record.Get());
    }
    return snapshots;
  }
  absl::StatusOr<ContainerSnapshot> FindContainer(
      const std::string& id) const override {
    PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                            context_->objects.FindContainer(id));
    return container->record.Get();
  }

  absl::StatusOr<ExecResult> ExecSync(const std::string& container_id,
                                      const std::vector<std::string>& command,
                                      std::chrono::seconds timeout) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(container_id));
    return runtime::ExecSync(*context_, container_id, command, timeout);
  }

  absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const StreamOptions& options) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(container_id));
    return runtime::OpenExec(*context_, container_id, command, options);
  }
  absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenAttach(
      const std::string& container_id, const StreamOptions& options) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(container_id));
    return runtime::OpenAttach(*context_, container_id, options);
  }
  absl::StatusOr<PortConnection> ConnectPort(const std::string& pod_id,
                                             uint16_t port) override {
    PINION_ASSIGN_OR_RETURN(const PodPtr pod,
                            context_->objects.FindPod(pod_id));
    PINION_RETURN_IF_ERROR(RequireKnown(*pod));
    return runtime::ConnectPort(*context_, pod_id, port);
  }

  absl::Status ReopenLog(const std::string& container_id) override {
    PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                            context_->objects.FindContainer(container_id));
    PINION_RETURN_IF_ERROR(RequireKnown(*container->pod));
    if (container->record.Get()->state() != state::CONTAINER_RUNNING) {
      return absl::FailedPreconditionError(
          absl::StrCat("container ", container->id, " is not running"));
    }
    const auto client = container->pod->Monitor();
    if (client == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("pod sandbox ", container->pod->id, " has no monitor"));
    }
    return client->ReopenLog(container->id, MonitorDeadline());
  }

  bool HasUserNamespaces() const override {
    return context_->user_namespaces.ok();
  }
  AppArmorState GetAppArmorState() const override {
    return {context_->apparmor.enabled(), context_->apparmor.error()};
  }

  absl::Status CheckpointContainer(const std::string& container_id,
                                   const std::string& location,
                                   std::chrono::seconds timeout) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(container_id));
    return runtime::CheckpointContainer(*context_, container_id, location,
                                        timeout);
  }

  std::string NetnsPath(const state::PodRecord& pod) const override {
    if (pod.state() != state::POD_READY || pod.monitor_pid() == 0 ||
        pod.spec().namespaces().network() == state::NAMESPACE_NODE) {
      return "";
    }
    return absl::StrCat("/proc/", pod.monitor_pid(), "/fd/",
                        monitor::kMonitorNetnsFd);
  }

  absl::Status UpdateContainer(const std::string& id,
                               const state::Resources& changes) override {
    PINION_RETURN_IF_ERROR(RequireKnownPodOf(id));
    return runtime::UpdateContainer(*context_, id, changes);
  }
  absl::Status UpdatePod(const std::string& id,
                         const state::Resources& overhead,
                         const state::Resources& resources) override {
    return runtime::UpdatePod(*context_, id, overhead, resources);
  }
  std::shared_ptr<EventQueue> SubscribeEvents(
      std::function<void()> ready) override {
    return context_->events.Subscribe(std::move(ready));
  }

  std::map<std::string, std::string> LimitsInForce(
      const std::string& container_id) const override {
    return runtime::LimitsInForce(*context_, container_id);
  }

  absl::StatusOr<CpuView> Cpus() const override {
    return runtime::ViewCpus(*context_);
  }

  absl::StatusOr<ContainerUsage> MeasureContainer(
      const std::string& id, UsageDetail detail) const override {
    return runtime::MeasureContainer(*context_, id, detail);
  }
  absl::StatusOr<PodUsage> MeasurePod(const std::string& id,
                                      UsageDetail detail) const override {
    return runtime::MeasurePod(*context_, id, detail);
  }

  absl::StatusOr<image::FsUsage> WritableUsage() const override {
    return MeasureWritableLayers(context_->containers_dir.get(),
                                 context_->options.root + "/containers");
  }

 private:
  // A container that does not exist is the operation's to judge.
  absl::Status RequireKnownPodOf(const std::string& container_id) const {
    const auto container = context_->objects.FindContainer(container_id);
    return container.ok() ? RequireKnown(*(*container)->pod) : absl::OkStatus();
  }
  bool Runs(const std::string& container_id) const {
    const auto container = context_->objects.FindContainer(container_id);
    return container.ok() &&
           (*container)->record.Get()->state() == state::CONTAINER_RUNNING;
  }

  const std::unique_ptr<Context> context_;
};

absl::StatusOr<os::UniqueFd> OpenOwnDir(const std::string& path) {
  PINION_RETURN_IF_ERROR(os::MakeDirs(path, 0700));
  return os::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

// Invalid where roots cannot be mounted ahead: before kernel 6.5, and with a
// root directory whose name leaves no room for those below it.
os::UniqueFd EmptyMounts(const std::string& root) {
  constexpr size_t kBelow = 128;
  if (root.size() + kBelow > os::kMaxMountOption ||
      !os::CanMountOverlay(root)) {
    return os::UniqueFd();
  }
  auto mounts = os::EmptyMountNamespace();
  if (mounts.ok()) return *std::move(mounts);
  Log(LogLevel::kWarning, "containers' roots are not mounted ahead",
      {{"error", mounts.status().ToString()}});
  return os::UniqueFd();
}

// Ahead of the first container, which would wait for it.
void LoadProfile(Context& context) {
  const absl::Status status = context.apparmor.LoadDefault();
  if (status.ok()) return;
  Log(LogLevel::kWarning,
      "containers that ask for no AppArmor profile are unconfined: pinion's "
      "own cannot be loaded",
      {{"error", status.ToString()}});
}

absl::StatusOr<std::string> ReadBootId() {
  PINION_ASSIGN_OR_RETURN(
      std::string id,
      os::ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Create(
    const Options& options, const Dependencies& dependencies) {
  auto context = std::make_unique<Context>(options, dependencies);
  PINION_ASSIGN_OR_RETURN(context->boot_id, ReadBootId());
  PINION_ASSIGN_OR_RETURN(context->root_dir, OpenOwnDir(options.root));
  PINION_ASSIGN_OR_RETURN(context->containers_dir,
                          OpenOwnDir(options.root + "/containers"));
  PINION_RETURN_IF_ERROR_AS(MakeMountPoints(context->root_dir.get()),
                            "make the layer of mount points");
  PINION_ASSIGN_OR_RETURN(context->pods_dir,
                          OpenOwnDir(options.state + "/pods"));
  PINION_ASSIGN_OR_RETURN(context->monitor_image, monitor::OpenMonitorImage());
  context->user_namespaces =
      monitor::CheckUserNamespaces(context->monitor_image.get(), options.root);
  PINION_ASSIGN_OR_RETURN(context->records,
                          Records::Open(options.root + "/state.db"));
  PINION_ASSIGN_OR_RETURN_AS(
      context->writable_layers,
      WritableLayers::Create(context->root_dir.get(),
                             context->containers_dir.get()),
      "make spare writable layers");
  RemoveCheckpointLeftovers(*context);
  context->empty_mounts = EmptyMounts(options.root);
  context->work = std::make_unique<WorkQueue>(kWorkThreads);
  PINION_ASSIGN_OR_RETURN(context->reactor, os::Reactor::Create());
  PINION_RETURN_IF_ERROR(MakePinning(*context));
  PINION_RETURN_IF_ERROR_AS(Recover(*context), "recovery");
  if (context->apparmor.enabled()) {
    context->work->Add([context = context.get()] { LoadProfile(*context); });
  }
  context->warm = std::make_unique<WarmPool>(
      options.warm_pods, AdvertisementsFor(*context->deps.network, ""),
      context->monitor_image.get(), *context->reactor);
  return std::make_unique<RuntimeImpl>(std::move(context));
}

}  // namespace pinion::runtime
