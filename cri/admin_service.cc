#include "cri/admin_service.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/resolve.h"
#include "cri/translate_status.h"
#include "cri/translate_usage.h"
#include "image/image_service.h"
#include "runtime/network_request.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

template <typename Phases, typename Response>
void AddPhases(const std::string& object, const Phases& phases,
               Response* response) {
  for (const auto& phase : phases) {
    admin::v1::TimelinePhase* added = response->add_phases();
    added->set_object(object);
    added->set_name(phase.name());
    added->set_start_ns(phase.start_ns());
    added->set_duration_ns(phase.duration_ns());
  }
}

// By "namespace/name": names have no slash.
absl::StatusOr<runtime::PodSnapshot> FindByName(const runtime::Runtime& runtime,
                                                const std::string& wanted) {
  runtime::PodSnapshot found;
  for (const runtime::PodSnapshot& pod : runtime.ListPods()) {
    if (!IsVisible(*pod) || absl::StrCat(pod->spec().namespace_(), "/",
                                         pod->spec().name()) != wanted) {
      continue;
    }
    const auto rank = [](const runtime::PodSnapshot& p) {
      return std::pair(p->state() == state::POD_READY, p->created_at_ns());
    };
    if (found == nullptr || rank(found) < rank(pod)) found = pod;
  }
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("no pod sandbox ", Quoted(wanted)));
  }
  return found;
}

// By id, a prefix of one, or "namespace/name".
absl::StatusOr<runtime::PodSnapshot> FindAsked(const runtime::Runtime& runtime,
                                               const std::string& wanted) {
  return wanted.find('/') == std::string::npos ? ResolvePod(runtime, wanted)
                                               : FindByName(runtime, wanted);
}

const char* ProtocolName(state::PortMapping::Protocol protocol) {
  switch (protocol) {
    case state::PortMapping::UDP:
      return "udp";
    case state::PortMapping::SCTP:
      return "sctp";
    default:
      return "tcp";
  }
}

void ToAttachment(const state::PodRecord& pod, const std::string& netns_path,
                  admin::v1::PodAttachment* out) {
  const state::PodSpec& spec = pod.spec();
  out->set_id(pod.id());
  out->set_name(spec.name());
  out->set_namespace_(spec.namespace_());
  out->set_ready(pod.state() == state::POD_READY);
  out->set_host_network(spec.namespaces().network() == state::NAMESPACE_NODE);
  out->set_netns_path(netns_path);
  out->set_user_namespace(spec.namespaces().has_user_namespace());
  if (!pod.ip().empty()) out->add_ips(pod.ip());
  for (const std::string& ip : pod.additional_ips()) out->add_ips(ip);
  out->set_mac(pod.mac());
  out->set_has_dns(spec.has_dns());
  *out->mutable_dns_servers() = spec.dns().servers();
  *out->mutable_dns_searches() = spec.dns().searches();
  for (const state::PortMapping& port : spec.port_mappings()) {
    if (port.host_port() == 0) continue;
    admin::v1::PodHostPort* added = out->add_host_ports();
    added->set_protocol(ProtocolName(port.protocol()));
    added->set_host_port(port.host_port());
    added->set_container_port(port.container_port());
    added->set_host_ip(port.host_ip());
  }
  AddPhases("pod", pod.phases(), out);
  out->set_mode(runtime::NetworkModeOf(spec));
  for (const state::SecondaryInterface& one : pod.secondary()) {
    admin::v1::PodInterface* added = out->add_further();
    added->set_network(one.network());
    added->set_name(one.interface_name());
    *added->mutable_ips() = one.ips();
    added->set_mac(one.mac());
  }
}

}  // namespace

absl::Status AdminRpcs::ImportImage(
    const admin::v1::ImportImageRequest& request,
    admin::v1::ImportImageResponse* response) {
  PINION_RETURN_IF_ERROR(CheckAbsolutePath(Field("path"), request.path()));
  PINION_RETURN_IF_ERROR(
      CheckLine(Field("reference"), request.reference(), 4096));
  PINION_ASSIGN_OR_RETURN(const image::ImageService::Imported imported,
                          images_.Import(request.path(), request.reference()));
  response->set_image_id(imported.id);
  for (const std::string& reference : imported.references) {
    response->add_references(reference);
  }
  return absl::OkStatus();
}

absl::Status AdminRpcs::PodTimeline(
    const admin::v1::PodTimelineRequest& request,
    admin::v1::PodTimelineResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          FindAsked(runtime_, request.pod_id()));
  response->set_pod_id(pod->id());
  response->set_name(pod->spec().name());
  response->set_namespace_(pod->spec().namespace_());
  AddPhases("pod", pod->phases(), response);
  std::vector<runtime::ContainerSnapshot> containers;
  for (auto& container : runtime_.ListContainers()) {
    if (container->pod_id() == pod->id()) containers.push_back(container);
  }
  std::sort(containers.begin(), containers.end(),
            [](const auto& a, const auto& b) {
              return a->created_at_ns() < b->created_at_ns();
            });
  for (const auto& container : containers) {
    AddPhases(container->spec().name(), container->phases(), response);
  }
  return absl::OkStatus();
}

absl::Status AdminRpcs::PodUsage(const admin::v1::PodUsageRequest& request,
                                 admin::v1::PodUsageResponse* response) {
  std::vector<runtime::PodSnapshot> pods;
  if (request.pod_id().empty()) {
    pods = runtime_.ListPods();
  } else {
    PINION_ASSIGN_OR_RETURN(runtime::PodSnapshot pod,
                            FindAsked(runtime_, request.pod_id()));
    pods.push_back(std::move(pod));
  }
  for (const runtime::PodSnapshot& pod : pods) {
    if (pod->state() != state::POD_READY) continue;
    const auto now = Clock::Real().Now().time_since_epoch();
    const auto usage =
        runtime_.MeasurePod(pod->id(), runtime::UsageDetail::kCgroups);
    if (usage.ok()) {
      admin::v1::PodUsage* const added = response->add_pods();
      ToPodUsage(*usage, added);
      added->set_monotonic_ns(std::chrono::nanoseconds(now).count());
    } else if (!request.pod_id().empty()) {
      return usage.status();
    } else if (!absl::IsNotFound(usage.status())) {
      Log(LogLevel::kWarning, "usage could not be read",
          {{"pod", pod->id()}, {"error", usage.status().ToString()}});
    }
  }
  return absl::OkStatus();
}

absl::Status AdminRpcs::Cpus(const admin::v1::CpusRequest&,
                             admin::v1::CpusResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::CpuView view, runtime_.Cpus());
  response->set_policy(view.pinning ? "static" : "none");
  for (const auto& cpu : view.cpus) {
    admin::v1::Cpu* added = response->add_cpus();
    added->set_id(cpu.id);
    added->set_core(cpu.core);
    added->set_socket(cpu.socket);
    added->set_node(cpu.node);
  }
  response->set_reserved(view.reserved.ToString());
  response->set_shared(view.shared.ToString());
  for (const runtime::CpuOwner& owner : view.owners) {
    admin::v1::CpuOwner* added = response->add_owners();
    added->set_container_id(owner.container_id);
    added->set_pod_namespace(owner.pod_namespace);
    added->set_pod_name(owner.pod_name);
    added->set_container_name(owner.container_name);
    added->set_cpus(owner.cpus.ToString());
    added->set_idle(owner.idle.ToString());
    added->set_partition(owner.partition);
    added->set_astray_on(owner.astray_on);
    for (const std::string& name : owner.shared_with) {
      added->add_shared_with(name);
    }
  }
  return absl::OkStatus();
}

absl::Status AdminRpcs::PodNetwork(const admin::v1::PodNetworkRequest& request,
                                   admin::v1::PodNetworkResponse* response) {
  const std::string& wanted = request.pod_id();
  std::vector<runtime::PodSnapshot> pods;
  if (wanted.empty()) {
    pods = runtime_.ListPods();
  } else {
    PINION_ASSIGN_OR_RETURN(runtime::PodSnapshot pod,
                            FindAsked(runtime_, wanted));
    pods.push_back(std::move(pod));
  }
  for (const runtime::PodSnapshot& pod : pods) {
    if (!IsVisible(*pod)) continue;
    ToAttachment(*pod, runtime_.NetnsPath(*pod), response->add_pods());
  }
  return absl::OkStatus();
}

}  // namespace pinion::cri
