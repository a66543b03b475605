#include "cri/resolve.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/translate_status.h"

namespace pinion::cri {
namespace {

absl::Status Unknown(const char* kind, const std::string& id) {
  return absl::NotFoundError(absl::StrCat("no ", kind, " ", Quoted(id)));
}

template <typename Snapshot>
absl::StatusOr<std::string> UniqueMatch(const char* kind,
                                        const std::vector<Snapshot>& objects,
                                        const std::string& prefix) {
  const Snapshot* found = nullptr;
  for (const Snapshot& object : objects) {
    if (object->id().compare(0, prefix.size(), prefix) != 0) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          kind, " id ", Quoted(prefix), ": is a prefix of several ids"));
    }
    found = &object;
  }
  if (found == nullptr) return Unknown(kind, prefix);
  return (*found)->id();
}

}  // namespace

absl::StatusOr<std::string> ResolvePodId(const runtime::Runtime& runtime,
                                         const std::string& id) {
  PINION_RETURN_IF_ERROR(CheckObjectId(Field("pod_sandbox_id"), id));
  if (IsId(id)) return id;
  return UniqueMatch("pod sandbox", runtime.ListPods(), id);
}

absl::StatusOr<std::string> ResolveContainerId(const runtime::Runtime& runtime,
                                               const std::string& id) {
  PINION_RETURN_IF_ERROR(CheckObjectId(Field("container_id"), id));
  if (IsId(id)) return id;
  return UniqueMatch("container", runtime.ListContainers(), id);
}

absl::StatusOr<runtime::PodSnapshot> ResolvePod(const runtime::Runtime& runtime,
                                                const std::string& id) {
  PINION_ASSIGN_OR_RETURN(const std::string full, ResolvePodId(runtime, id));
  PINION_ASSIGN_OR_RETURN(runtime::PodSnapshot pod, runtime.FindPod(full));
  if (!IsVisible(*pod)) return Unknown("pod sandbox", id);
  return pod;
}

absl::StatusOr<runtime::ContainerSnapshot> ResolveContainer(
    const runtime::Runtime& runtime, const std::string& id) {
  PINION_ASSIGN_OR_RETURN(const std::string full,
                          ResolveContainerId(runtime, id));
  return runtime.FindContainer(full);
}

}  // namespace pinion::cri
