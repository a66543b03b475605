// StartContainer: the leaf with its limits, the plan, the process.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/container_plan.h"
#include "runtime/launch/plan_writer.h"
#include "runtime/operations.h"
#include "runtime/restore_container.h"
#include "runtime/rollback.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

constexpr int kStartErrorCode = 128;
// The memory of a restored container is read from the disk meanwhile.
constexpr std::chrono::minutes kRestoreDeadline{2};

monitor::StartRequest RequestFor(const state::ContainerRecord& record,
                                 const launch::LaunchSpec& spec, int cgroup_fd,
                                 int root_fd, int mount_namespace_fd) {
  monitor::StartRequest request;
  request.container_id = record.id();
  request.plan = launch::EncodePlan(spec);
  request.cgroup_fd = cgroup_fd;
  if (root_fd >= 0) {
    request.root_fd = root_fd;
    request.mount_namespace_fd = mount_namespace_fd;
  }
  request.log_path = record.log_path();
  request.open_stdin = record.spec().stdin();
  request.stdin_once = record.spec().stdin_once();
  request.terminal = record.spec().tty();
  return request;
}

// The kubelet makes the directory; other clients may not.
absl::Status MakeLogDir(const std::string& log_path) {
  if (log_path.empty()) return absl::OkStatus();
  return Annotate(os::MakeDirs(log_path.substr(0, log_path.rfind('/')), 0755),
                  "make the log's directory");
}

absl::StatusOr<monitor::Started> Restore(Context& context,
                                         monitor::MonitorClient& client,
                                         const state::ContainerRecord& record,
                                         const launch::LaunchSpec& plan,
                                         int leaf) {
  PINION_ASSIGN_OR_RETURN(const launch::LaunchSpec launch,
                          PlanRestore(context, record, plan));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                          OpenRestoreDir(context, record.id()));
  monitor::StartRequest request = RequestFor(record, launch, leaf, -1, -1);
  request.restore_dir_fd = dir.get();
  auto started = client.Start(
      request, std::chrono::steady_clock::now() + kRestoreDeadline);
  if (!started.ok()) {
    return ExplainRestore(context, record.id(), started.status());
  }
  ForgetCheckpoint(context, record.id());
  return started;
}

absl::Status StartProcess(Context& context, Container& container,
                          PhaseTimer& phases)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(container.pod->operation) {
  const auto record = container.record.Get();
  const auto pod = container.pod->record.Get();
  const auto client = container.pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", pod->id(), " has no monitor"));
  }
  phases.Next("cgroup");
  Rollback rollback;
  rollback.Add([&] {
    const absl::Status status =
        context.deps.container_cgroups->Remove(pod->cgroup(), container.id);
    if (!status.ok()) {
      Log(LogLevel::kError, "a failed start left its cgroup",
          {{"container", container.id}, {"error", status.ToString()}});
    }
  });
  PINION_ASSIGN_OR_RETURN_AS(
      const os::UniqueFd leaf,
      context.deps.container_cgroups->Create(pod->cgroup(), container.id,
                                             record->spec().resources()),
      "make the container's cgroup");
  PINION_RETURN_IF_ERROR_AS(EnterCpus(context, *pod, *record),
                            "set the container's CPUs");
  phases.Next("plan");
  PINION_ASSIGN_OR_RETURN(const ContainerPlan plan,
                          PlanContainer(context, *pod, *record));
  PINION_RETURN_IF_ERROR_AS(
      context.deps.container_cgroups->SetDevices(leaf.get(), plan.device_rules),
      "set the container's device filter");
  PINION_RETURN_IF_ERROR(MakeLogDir(record->log_path()));
  os::UniqueFd root = container.root.Take();
  if (!root.valid() && client->TakesRoot() &&
      MountsRootAhead(context, *record)) {
    PINION_ASSIGN_OR_RETURN_AS(root, MountRoot(context, *record),
                               "mount the container's root");
  }
  if (!root.valid()) {
    PINION_RETURN_IF_ERROR(ForgetUnusedMount(context, *record));
  }
  phases.Next("exec");
  PINION_ASSIGN_OR_RETURN(
      const monitor::Started started,
      record->has_restore()
          ? Restore(context, *client, *record, plan.launch, leaf.get())
          : client->Start(RequestFor(*record, plan.launch, leaf.get(),
                                     root.get(), context.empty_mounts.get()),
                          MonitorDeadline()));
  rollback.Commit();
  const std::vector<state::Phase>& done = phases.Finish();
  const auto running =
      container.record.Update([&started, &done](state::ContainerRecord& r) {
        // A short-lived process may have been reported as ended already.
        if (Apply(r, ContainerEvent::kStarted)) {
          r.set_pid(started.pid);
          r.set_pid_start_ticks(started.start_ticks);
        }
        r.set_started_at_ns(started.started_at_ns);
        for (const state::Phase& phase : done) *r.add_phases() = phase;
        return true;
      });
  PublishStarted(context, container);
  if (running->state() == state::CONTAINER_RUNNING) {
    context.instruments.containers_running.Add(1);
  }
  context.records->SaveLater(running);
  return absl::OkStatus();
}

// The status keeps what happened: `kubectl describe` shows it.
void RecordFailure(Context& context, Container& container,
                   const absl::Status& status) {
  ForgetCpus(context, container.id);
  const auto failed =
      container.record.Update([&status](state::ContainerRecord& r) {
        (void)Apply(r, ContainerEvent::kStartFailed);
        r.set_pid(0);
        r.set_exit_code(kStartErrorCode);
        r.set_finished_at_ns(Clock::Real().WallNanos());
        r.set_reason("StartError");
        r.set_message(std::string(status.message()));
        return true;
      });
  context.records->SaveLater(failed);
  PublishStopped(context, container, /*has_run=*/false);
}

absl::Status StartOnce(Context& context, Container& container) {
  const absl::MutexLock lock(&container.pod->operation);
  const auto record = container.record.Get();
  if (record->state() == state::CONTAINER_RUNNING) {
    return absl::OkStatus();  // the answer to the first attempt was lost
  }
  if (record->state() != state::CONTAINER_CREATED) {
    return absl::FailedPreconditionError(absl::StrCat(
        "container ", container.id, " has ended: ", record->reason(),
        record->message().empty() ? "" : ": ", record->message()));
  }
  if (container.pod->record.Get()->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", container.pod->id, " is not ready"));
  }
  PhaseTimer phases(context.instruments);
  const absl::Status status = StartProcess(context, container, phases);
  if (!status.ok()) RecordFailure(context, container, status);
  return status;
}

}  // namespace

absl::Status StartContainer(Context& context, const std::string& id) {
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  return context.start_joins.Run(container->id, [&context, &container] {
    return StartOnce(context, *container);
  });
}

}  // namespace pinion::runtime
