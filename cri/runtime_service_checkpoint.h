// CheckpointContainer.
//
// Thread-safe; holds nothing but a pointer.

#ifndef PINION_CRI_RUNTIME_SERVICE_CHECKPOINT_H_
#define PINION_CRI_RUNTIME_SERVICE_CHECKPOINT_H_

#include "absl/status/status.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class CheckpointRpcs {
 public:
  explicit CheckpointRpcs(runtime::Runtime* runtime) : runtime_(*runtime) {}

  // The container runs on, also after an error; then there is no file.
  absl::Status CheckpointContainer(
      const api::CheckpointContainerRequest& request,
      api::CheckpointContainerResponse* response);

 private:
  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_CHECKPOINT_H_
