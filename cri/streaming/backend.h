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
#include "runtime/port_connection.h"
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
  // A connection in the pod's network namespace, not begun yet. A call may
  // take two seconds, while the pod's monitor is stopped.
  virtual absl::StatusOr<runtime::PortConnection> ConnectPort(
      const std::string& pod_id, uint16_t port) = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_BACKEND_H_
