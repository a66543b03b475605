// A backend over real processes, pipes and terminals of this machine, and
// over the loopback's ports.
//
// Thread-safe.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_PROCESS_BACKEND_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_PROCESS_BACKEND_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "cri/streaming/backend.h"

namespace pinion::cri::streaming {

class ProcessBackend : public Backend {
 public:
  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const runtime::StreamOptions& options) override;
  // The container is a `cat`; its end is no result of the session's.
  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenAttach(
      const std::string& container_id,
      const runtime::StreamOptions& options) override;
  absl::StatusOr<runtime::PortConnection> ConnectPort(const std::string& pod_id,
                                                      uint16_t port) override;

  // Processes that were started and not ended yet.
  std::atomic<int> alive = 0;
  // Calls of ConnectPort.
  std::atomic<int> connects = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_PROCESS_BACKEND_H_
