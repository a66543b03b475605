#include "cri/translate_status.h"

#include "cri/translate_metadata.h"
#include "cri/translate_mounts.h"
#include "cri/translate_namespaces.h"
#include "cri/translate_resources.h"
#include "cri/translate_signal.h"

namespace pinion::cri {
namespace {

bool HasPrefix(const std::string& id, const std::string& prefix) {
  return id.compare(0, prefix.size(), prefix) == 0;
}

api::PodSandboxState ToState(state::PodState pod) {
  return pod == state::POD_READY ? api::SANDBOX_READY : api::SANDBOX_NOTREADY;
}

api::ContainerState ToState(state::ContainerState container) {
  switch (container) {
    case state::CONTAINER_CREATED:
      return api::CONTAINER_CREATED;
    case state::CONTAINER_RUNNING:
      return api::CONTAINER_RUNNING;
    case state::CONTAINER_EXITED:
    case state::CONTAINER_REMOVING:
      return api::CONTAINER_EXITED;
    default:
      return api::CONTAINER_UNKNOWN;
  }
}

void ToMetadata(const state::PodSpec& spec, api::PodSandboxMetadata* out) {
  out->set_name(spec.name());
  out->set_uid(spec.uid());
  out->set_namespace_(spec.namespace_());
  out->set_attempt(spec.attempt());
}

void ToImageSpec(const state::ContainerSpec& spec, api::ImageSpec* out) {
  out->set_image(spec.image());
  out->set_user_specified_image(spec.user_specified_image());
  out->set_runtime_handler(spec.image_runtime_handler());
  *out->mutable_annotations() = spec.image_annotations();
}

void ToUser(const state::User& user, api::LinuxContainerUser* out) {
  out->set_uid(user.uid());
  out->set_gid(user.gid());
  *out->mutable_supplemental_groups() = user.supplemental_groups();
}

std::string ReasonOf(const state::ContainerRecord& container) {
  if (!container.reason().empty() ||
      ToState(container.state()) != api::CONTAINER_EXITED) {
    return container.reason();
  }
  return container.exit_code() == 0 ? "Completed" : "Error";
}

}  // namespace

bool IsVisible(const state::PodRecord& pod) {
  return pod.state() != state::POD_CREATING;
}

bool Matches(const api::PodSandboxFilter& filter, const state::PodRecord& pod) {
  return HasPrefix(pod.id(), filter.id()) &&
         (!filter.has_state() ||
          filter.state().state() == ToState(pod.state())) &&
         MatchesLabels(filter.label_selector(), pod.spec().labels());
}

bool Matches(const api::ContainerFilter& filter,
             const state::ContainerRecord& container) {
  return HasPrefix(container.id(), filter.id()) &&
         HasPrefix(container.pod_id(), filter.pod_sandbox_id()) &&
         (!filter.has_state() ||
          filter.state().state() == ToState(container.state())) &&
         MatchesLabels(filter.label_selector(), container.spec().labels());
}

void ToPodSandbox(const state::PodRecord& pod, api::PodSandbox* out) {
  out->set_id(pod.id());
  ToMetadata(pod.spec(), out->mutable_metadata());
  out->set_state(ToState(pod.state()));
  out->set_created_at(pod.created_at_ns());
  *out->mutable_labels() = pod.spec().labels();
  *out->mutable_annotations() = pod.spec().annotations();
  out->set_runtime_handler(pod.spec().runtime_handler());
}

void ToPodSandboxStatus(const state::PodRecord& pod,
                        api::PodSandboxStatus* out) {
  out->set_id(pod.id());
  ToMetadata(pod.spec(), out->mutable_metadata());
  out->set_state(ToState(pod.state()));
  out->set_created_at(pod.created_at_ns());
  api::PodSandboxNetworkStatus* network = out->mutable_network();
  network->set_ip(pod.ip());
  for (const std::string& ip : pod.additional_ips()) {
    network->add_additional_ips()->set_ip(ip);
  }
  FromNamespaces(pod.spec().namespaces(),
                 out->mutable_linux()->mutable_namespaces()->mutable_options());
  *out->mutable_labels() = pod.spec().labels();
  *out->mutable_annotations() = pod.spec().annotations();
  out->set_runtime_handler(pod.spec().runtime_handler());
}

void ToContainer(const state::ContainerRecord& container, api::Container* out) {
  const state::ContainerSpec& spec = container.spec();
  out->set_id(container.id());
  out->set_pod_sandbox_id(container.pod_id());
  out->mutable_metadata()->set_name(spec.name());
  out->mutable_metadata()->set_attempt(spec.attempt());
  ToImageSpec(spec, out->mutable_image());
  out->set_image_ref(container.image_ref());
  out->set_state(ToState(container.state()));
  out->set_created_at(container.created_at_ns());
  *out->mutable_labels() = spec.labels();
  *out->mutable_annotations() = spec.annotations();
  out->set_image_id(container.image_id());
}

void ToContainerStatus(const state::ContainerRecord& container,
                       api::ContainerStatus* out) {
  const state::ContainerSpec& spec = container.spec();
  out->set_id(container.id());
  out->mutable_metadata()->set_name(spec.name());
  out->mutable_metadata()->set_attempt(spec.attempt());
  out->set_state(ToState(container.state()));
  out->set_created_at(container.created_at_ns());
  out->set_started_at(container.started_at_ns());
  out->set_finished_at(container.finished_at_ns());
  out->set_exit_code(container.exit_code());
  ToImageSpec(spec, out->mutable_image());
  out->set_image_ref(container.image_ref());
  out->set_reason(ReasonOf(container));
  out->set_message(container.message());
  *out->mutable_labels() = spec.labels();
  *out->mutable_annotations() = spec.annotations();
  for (const state::Mount& mount : spec.mounts()) {
    FromMount(mount, out->add_mounts());
  }
  out->set_log_path(container.log_path());
  FromResources(spec.resources(), out->mutable_resources()->mutable_linux());
  out->set_image_id(container.image_id());
  if (container.has_user()) {
    ToUser(container.user(), out->mutable_user()->mutable_linux());
  }
  out->set_stop_signal(FromSignalNumber(container.stop_signal()));
}

}  // namespace pinion::cri
