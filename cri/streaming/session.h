// One connection from its first byte: the request's head, the token, the
// upgrade, then the session itself.

#ifndef PINION_CRI_STREAMING_SESSION_H_
#define PINION_CRI_STREAMING_SESSION_H_

#include <memory>

#include "cri/streaming/admission.h"
#include "cri/streaming/backend.h"
#include "cri/streaming/request.h"
#include "cri/streaming/server.h"
#include "cri/streaming/token_store.h"
#include "cri/streaming/transport.h"
#include "metrics/metrics.h"

namespace pinion::cri::streaming {

// Thread-safe.
class SessionMetrics {
 public:
  explicit SessionMetrics(metrics::Registry& registry);

  metrics::Gauge& open(Kind kind) { return *open_[static_cast<int>(kind)]; }
  metrics::Counter& begun(Kind kind) { return *begun_[static_cast<int>(kind)]; }

 private:
  metrics::Gauge* open_[3];
  metrics::Counter* begun_[3];
};

// Returns when the connection is over. `stop_fd` is readable once the server
// ends. `place` is a newcomer's, and becomes a session's.
void ServeConnection(std::unique_ptr<Transport> transport, int stop_fd,
                     const Options& options, Admission::Place* place,
                     TokenStore& tokens, Backend& backend,
                     SessionMetrics& metrics);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_SESSION_H_
