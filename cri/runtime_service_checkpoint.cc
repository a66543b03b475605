#include "cri/runtime_service_checkpoint.h"

#include <string>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/resolve.h"
#include "cri/rpc_seconds.h"
#include "runtime/runtime.h"

namespace pinion::cri {

absl::Status CheckpointRpcs::CheckpointContainer(
    const api::CheckpointContainerRequest& request,
    api::CheckpointContainerResponse*) {
  const Field location("location");
  PINION_RETURN_IF_ERROR(CheckAbsolutePath(location, request.location()));
  if (HasDotDot(request.location()) || request.location().back() == '/') {
    return Refuse(location, request.location(),
                  "must be the path of a file, without ..");
  }
  PINION_ASSIGN_OR_RETURN(const auto timeout,
                          ToSeconds("timeout", request.timeout()));
  PINION_ASSIGN_OR_RETURN(const std::string id,
                          ResolveContainerId(runtime_, request.container_id()));
  return runtime_.CheckpointContainer(id, request.location(), timeout);
}

}  // namespace pinion::cri
