// What the streaming server needs of the runtime; nothing else of pods is
// known here.
//
// Implementations are thread-safe: each session calls from its own thread,
// and a call may wait.

#ifndef PINION_CRI_STREAMING_BACKEND_H_
#define PINION_CRI_STREAMING_BACKEND_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/process_streams.h"

namespace pinion::cri::streaming {

class Backend {
 public:
  virtual ~Backend() = default;

  virtual absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const runtime::StreamOptions& options) = 0;
  virtual absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenAttach(
      const std::string& container_id,
      const runtime::StreamOptions& options) = 0;
  // A connected, non-blocking TCP socket in the pod's network namespace.
  virtual absl::StatusOr<os::UniqueFd> ConnectPort(const std::string& pod_id,
                                                   uint16_t port) = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_BACKEND_H_
