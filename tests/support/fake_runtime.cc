#include "tests/support/fake_runtime.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/status_macros.h"

namespace pinion::testing_support {
namespace {

constexpr int kKilled = 137;

template <typename Record>
absl::StatusOr<std::shared_ptr<const Record>> FindByPrefix(
    const std::map<std::string, Record>& records, const std::string& id) {
  const auto first = records.lower_bound(id);
  if (first == records.end() || first->first.rfind(id, 0) != 0 ||
      (std::next(first) != records.end() &&
       std::next(first)->first.rfind(id, 0) == 0)) {
    return absl::NotFoundError(absl::StrCat("no object ", id));
  }
  return std::make_shared<const Record>(first->second);
}

template <typename Record>
std::vector<std::shared_ptr<const Record>> Snapshots(
    const std::map<std::string, Record>& records) {
  std::vector<std::shared_ptr<const Record>> list;
  for (const auto& [id, record] : records) {
    list.push_back(std::make_shared<const Record>(record));
  }
  return list;
}

void End(state::ContainerRecord& container, int64_t now_ns) {
  if (container.state() != state::CONTAINER_RUNNING) return;
  container.set_state(state::CONTAINER_EXITED);
  container.set_exit_code(kKilled);
  container.set_finished_at_ns(now_ns);
  container.set_pid(0);
}

}  // namespace

absl::StatusOr<std::string> FakeRuntime::RunPod(const state::PodSpec& spec) {
  if (hooks.run_pod) {
    if (absl::Status status = hooks.run_pod(); !status.ok()) return status;
  }
  if (handlers.count(spec.runtime_handler()) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("no runtime handler \"", spec.runtime_handler(), "\""));
  }
  const absl::MutexLock lock(&mutex_);
  for (const auto& [id, pod] : pods_) {
    const state::PodSpec& other = pod.spec();
    if (other.name() == spec.name() && other.uid() == spec.uid() &&
        other.namespace_() == spec.namespace_() &&
        other.attempt() == spec.attempt()) {
      return id;
    }
  }
  state::PodRecord pod;
  pod.set_id(NewId());
  *pod.mutable_spec() = spec;
  pod.set_state(state::POD_READY);
  pod.set_created_at_ns(++now_ns_);
  pod.set_cgroup("/pinion/" + pod.id());
  pod.set_monitor_pid(4711);
  if (spec.namespaces().network() == state::NAMESPACE_POD) {
    pod.set_ip(absl::StrCat("10.88.0.", pods_.size() + 2));
    pod.add_additional_ips("fd00::2");
  }
  state::Phase* phase = pod.add_phases();
  phase->set_name("network");
  phase->set_start_ns(now_ns_);
  phase->set_duration_ns(900'000);
  const std::string id = pod.id();
  pods_.emplace(id, pod);
  return id;
}

absl::Status FakeRuntime::StopPod(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto pod = pods_.find(id);
  if (pod == pods_.end()) return absl::OkStatus();
  pod->second.set_state(state::POD_NOT_READY);
  pod->second.clear_ip();
  pod->second.clear_additional_ips();
  for (auto& [container_id, container] : containers_) {
    if (container.pod_id() == id) End(container, ++now_ns_);
  }
  return absl::OkStatus();
}

absl::Status FakeRuntime::RemovePod(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  pods_.erase(id);
  std::erase_if(containers_, [&id](const auto& entry) {
    return entry.second.pod_id() == id;
  });
  return absl::OkStatus();
}

std::vector<runtime::PodSnapshot> FakeRuntime::ListPods() const {
  const absl::MutexLock lock(&mutex_);
  return Snapshots(pods_);
}

absl::StatusOr<runtime::PodSnapshot> FakeRuntime::FindPod(
    const std::string& id) const {
  const absl::MutexLock lock(&mutex_);
  return FindByPrefix(pods_, id);
}

absl::StatusOr<std::string> FakeRuntime::CreateContainer(
    const std::string& pod_id, const state::ContainerSpec& spec) {
  const absl::MutexLock lock(&mutex_);
  const auto pod = pods_.find(pod_id);
  if (pod == pods_.end()) return absl::NotFoundError("no pod " + pod_id);
  if (pod->second.state() != state::POD_READY) {
    return absl::FailedPreconditionError("the pod is not ready");
  }
  state::ContainerRecord container;
  container.set_id(NewId());
  container.set_pod_id(pod_id);
  *container.mutable_spec() = spec;
  container.set_state(state::CONTAINER_CREATED);
  container.set_created_at_ns(++now_ns_);
  container.set_image_id("sha256:" + std::string(64, 'a'));
  container.set_image_ref(spec.image());
  if (!spec.log_path().empty()) {
    container.set_log_path(
        absl::StrCat(pod->second.spec().log_directory(), "/", spec.log_path()));
  }
  container.set_stop_signal(spec.stop_signal() != 0 ? spec.stop_signal() : 15);
  for (const std::string& word : spec.command()) container.add_argv(word);
  for (const std::string& word : spec.args()) container.add_argv(word);
  const std::string id = container.id();
  containers_.emplace(id, container);
  return id;
}

absl::Status FakeRuntime::StartContainer(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto container = containers_.find(id);
  if (container == containers_.end()) {
    return absl::NotFoundError("no container " + id);
  }
  if (container->second.state() != state::CONTAINER_CREATED) {
    return absl::FailedPreconditionError("the container was started before");
  }
  container->second.set_state(state::CONTAINER_RUNNING);
  container->second.set_started_at_ns(++now_ns_);
  container->second.set_pid(4712);
  state::User* user = container->second.mutable_user();
  user->set_uid(container->second.spec().security().run_as_user());
  return absl::OkStatus();
}

absl::Status FakeRuntime::StopContainer(const std::string& id,
                                        std::chrono::seconds grace) {
  if (hooks.stop_container) {
    if (absl::Status status = hooks.stop_container(id, grace); !status.ok()) {
      return status;
    }
  }
  const absl::MutexLock lock(&mutex_);
  const auto container = containers_.find(id);
  if (container != containers_.end()) End(container->second, ++now_ns_);
  return absl::OkStatus();
}

absl::Status FakeRuntime::RemoveContainer(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  containers_.erase(id);
  return absl::OkStatus();
}

std::vector<runtime::ContainerSnapshot> FakeRuntime::ListContainers() const {
  const absl::MutexLock lock(&mutex_);
  return Snapshots(containers_);
}

absl::StatusOr<runtime::ContainerSnapshot> FakeRuntime::FindContainer(
    const std::string& id) const {
  const absl::MutexLock lock(&mutex_);
  return FindByPrefix(containers_, id);
}

absl::StatusOr<runtime::ExecResult> FakeRuntime::ExecSync(
    const std::string& container_id, const std::vector<std::string>& command,
    std::chrono::seconds timeout) {
  const auto container = FindContainer(container_id);
  if (!container.ok()) return container.status();
  if ((*container)->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError("the container is not running");
  }
  if (hooks.exec) return hooks.exec(container_id, command, timeout);
  return runtime::ExecResult{command.front() + "\n", "", 0};
}

absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> FakeRuntime::OpenExec(
    const std::string& container_id, const std::vector<std::string>& command,
    const runtime::StreamOptions& options) {
  const auto container = FindContainer(container_id);
  if (!container.ok()) return container.status();
  if (!hooks.open_exec) return absl::UnimplementedError("no hook for exec");
  return hooks.open_exec((*container)->id(), command, options);
}

absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>>
FakeRuntime::OpenAttach(const std::string& container_id,
                        const runtime::StreamOptions& options) {
  const auto container = FindContainer(container_id);
  if (!container.ok()) return container.status();
  if (!hooks.open_attach) return absl::UnimplementedError("no hook for attach");
  return hooks.open_attach((*container)->id(), options);
}

absl::StatusOr<runtime::PortConnection> FakeRuntime::ConnectPort(
    const std::string& pod_id, uint16_t port) {
  const auto pod = FindPod(pod_id);
  if (!pod.ok()) return pod.status();
  if (!hooks.connect_port) return absl::UnimplementedError("no hook for ports");
  return hooks.connect_port((*pod)->id(), port);
}

absl::Status FakeRuntime::ReopenLog(const std::string& container_id) {
  const auto container = FindContainer(container_id);
  if (!container.ok()) return container.status();
  if ((*container)->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError("the container is not running");
  }
  return absl::OkStatus();
}

absl::Status FakeRuntime::CheckpointContainer(const std::string& container_id,
                                              const std::string& location,
                                              std::chrono::seconds timeout) {
  const auto container = FindContainer(container_id);
  if (!container.ok()) return container.status();
  if (hooks.checkpoint == nullptr) {
    return absl::UnimplementedError("criu is not installed");
  }
  return hooks.checkpoint((*container)->id(), location, timeout);
}

std::string FakeRuntime::NetnsPath(const state::PodRecord& pod) const {
  if (pod.state() != state::POD_READY ||
      pod.spec().namespaces().network() == state::NAMESPACE_NODE) {
    return "";
  }
  return absl::StrCat("/proc/", pod.monitor_pid(), "/fd/5");
}

absl::Status FakeRuntime::UpdateContainer(const std::string& id,
                                          const state::Resources& changes) {
  const absl::MutexLock lock(&mutex_);
  const auto container = containers_.find(id);
  if (container == containers_.end()) {
    return absl::NotFoundError("no container " + id);
  }
  container->second.mutable_spec()->mutable_resources()->MergeFrom(changes);
  return absl::OkStatus();
}

absl::Status FakeRuntime::UpdatePod(const std::string& id,
                                    const state::Resources& overhead,
                                    const state::Resources& resources) {
  const absl::MutexLock lock(&mutex_);
  const auto pod = pods_.find(id);
  if (pod == pods_.end()) return absl::NotFoundError("no pod " + id);
  pod->second.mutable_spec()->mutable_overhead()->MergeFrom(overhead);
  pod->second.mutable_spec()->mutable_resources()->MergeFrom(resources);
  return absl::OkStatus();
}

absl::StatusOr<runtime::ContainerUsage> FakeRuntime::MeasureContainer(
    const std::string& id, runtime::UsageDetail) const {
  runtime::ContainerUsage usage;
  PINION_ASSIGN_OR_RETURN(usage.container, FindContainer(id));
  usage.read_at_ns = usage.container->created_at_ns();
  if (hooks.measure_container) hooks.measure_container(usage);
  return usage;
}

absl::StatusOr<runtime::PodUsage> FakeRuntime::MeasurePod(
    const std::string& id, runtime::UsageDetail detail) const {
  runtime::PodUsage usage;
  PINION_ASSIGN_OR_RETURN(usage.pod, FindPod(id));
  usage.read_at_ns = usage.pod->created_at_ns();
  for (const auto& container : ListContainers()) {
    if (container->pod_id() != usage.pod->id()) continue;
    PINION_ASSIGN_OR_RETURN(runtime::ContainerUsage one,
                            MeasureContainer(container->id(), detail));
    usage.containers.push_back(std::move(one));
  }
  if (hooks.measure_pod) hooks.measure_pod(usage);
  return usage;
}

absl::StatusOr<image::FsUsage> FakeRuntime::WritableUsage() const {
  return image::FsUsage{"/var/lib/pinion/containers", 4096, 3};
}

void FakeRuntime::PutPod(const state::PodRecord& pod) {
  const absl::MutexLock lock(&mutex_);
  pods_[pod.id()] = pod;
}

void FakeRuntime::PutContainer(const state::ContainerRecord& container) {
  const absl::MutexLock lock(&mutex_);
  containers_[container.id()] = container;
}

}  // namespace pinion::testing_support
