#include "runtime/pod_monitor.h"

#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/operations.h"
#include "runtime/warm_pool.h"

namespace pinion::runtime {
namespace {

// A template makes copies in 0.1 ms; 270 pods at once on a busy machine may
// take a second.
constexpr std::chrono::seconds kCopyDeadline(3);

}  // namespace

PodMonitorStart::PodMonitorStart(Context& context, const PodPtr& pod,
                                 int pod_dir, int cgroup_fd,
                                 const monitor::SandboxRequest& request)
    : context_(context), pod_(pod), request_(request) {
  options_.pod_id = pod->id;
  options_.pod_dir = PodDir(context, pod->id);
  options_.pod_dir_fd = pod_dir;
  options_.image_fd = context.monitor_image.get();
  options_.cgroup_fd = cgroup_fd;
}

absl::Status PodMonitorStart::Begin() {
  template_ = context_.warm->Template();
  if (template_ == nullptr) return Spawn();
  auto client = monitor::MonitorClient::Clone(
      options_, *template_, *context_.reactor, CallbacksFor(context_, pod_));
  if (client.ok()) {
    client_ = std::move(*client);
    return absl::OkStatus();
  }
  Log(LogLevel::kWarning, "a monitor is started without a template",
      {{"pod", pod_->id}, {"error", client.status().ToString()}});
  return Spawn();
}

absl::Status PodMonitorStart::Spawn() {
  PINION_ASSIGN_OR_RETURN_AS(
      client_,
      monitor::MonitorClient::Spawn(options_, *context_.reactor,
                                    CallbacksFor(context_, pod_)),
      "start pod monitor");
  Register();
  if (!sandbox_begun_) return absl::OkStatus();
  begun_ = client_->BeginSandbox(request_, MonitorDeadline());
  return begun_;
}

void PodMonitorStart::Register() {
  pod_->record.Update([this](state::PodRecord& r) {
    r.set_monitor_pid(client_->pid());
    r.set_monitor_start_ticks(client_->start_ticks());
    return true;
  });
  pod_->SetMonitor(client_);
  registered_ = true;
  context_.instruments.monitors.Add(1);
}

absl::Status PodMonitorStart::BeginSandbox() {
  sandbox_begun_ = true;
  begun_ = client_->BeginSandbox(request_, MonitorDeadline());
  // To a copy that does not come the request is sent again.
  return registered_ ? begun_ : absl::OkStatus();
}

absl::Status PodMonitorStart::AwaitMonitor() {
  if (registered_) return absl::OkStatus();
  const absl::Status greeted =
      client_->AwaitGreeting(std::chrono::steady_clock::now() + kCopyDeadline);
  if (greeted.ok()) {
    Register();
    return absl::OkStatus();
  }
  Log(LogLevel::kWarning, "the template's copy did not come",
      {{"pod", pod_->id}, {"error", greeted.ToString()}});
  // With its connection gone, a copy that comes late ends at once.
  client_.reset();
  if (absl::IsDeadlineExceeded(greeted)) context_.warm->Distrust(template_);
  return Spawn();
}

absl::StatusOr<monitor::Sandbox> PodMonitorStart::AwaitSandbox() {
  PINION_RETURN_IF_ERROR(AwaitMonitor());
  PINION_RETURN_IF_ERROR(begun_);
  PINION_ASSIGN_OR_RETURN_AS(monitor::Sandbox sandbox,
                             client_->AwaitSandbox(MonitorDeadline()),
                             "set up the sandbox");
  return sandbox;
}

}  // namespace pinion::runtime
