#include "cri/admin_service.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/resolve.h"
#include "image/image_service.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

template <typename Phases>
void AddPhases(const std::string& object, const Phases& phases,
               admin::v1::PodTimelineResponse* response) {
  for (const auto& phase : phases) {
    admin::v1::TimelinePhase* added = response->add_phases();
    added->set_object(object);
    added->set_name(phase.name());
    added->set_start_ns(phase.start_ns());
    added->set_duration_ns(phase.duration_ns());
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
                          ResolvePod(runtime_, request.pod_id()));
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

}  // namespace pinion::cri
