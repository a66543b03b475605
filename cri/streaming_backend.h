// The runtime as the streaming server sees it: three calls.
//
// Thread-safe, as the runtime is.

#ifndef PINION_CRI_STREAMING_BACKEND_OF_RUNTIME_H_
#define PINION_CRI_STREAMING_BACKEND_OF_RUNTIME_H_

#include <memory>
#include <string>
#include <vector>

#include "cri/streaming/backend.h"
#include "runtime/runtime.h"

namespace pinion::cri {

class RuntimeBackend final : public streaming::Backend {
 public:
  // `runtime` outlives the backend.
  explicit RuntimeBackend(runtime::Runtime* runtime) : runtime_(*runtime) {}

  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const runtime::StreamOptions& options) override {
    return runtime_.OpenExec(container_id, command, options);
  }

  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenAttach(
      const std::string& container_id,
      const runtime::StreamOptions& options) override {
    return runtime_.OpenAttach(container_id, options);
  }

  absl::StatusOr<runtime::PortConnection> ConnectPort(const std::string& pod_id,
                                                      uint16_t port) override {
    return runtime_.ConnectPort(pod_id, port);
  }

 private:
  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_STREAMING_BACKEND_OF_RUNTIME_H_
