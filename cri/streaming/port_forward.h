// A session of PortForward: connections into a pod, each on a pair of a data
// and an error stream.

#ifndef PINION_CRI_STREAMING_PORT_FORWARD_H_
#define PINION_CRI_STREAMING_PORT_FORWARD_H_

#include <chrono>
#include <cstddef>
#include <string_view>

#include "cri/streaming/backend.h"
#include "cri/streaming/request.h"
#include "cri/streaming/upgrade.h"
#include "cri/streaming/wire.h"

namespace pinion::cri::streaming {

// At a time, of one session; one more is refused.
inline constexpr size_t kMaxForwarded = 256;
// What the pod has not taken yet, of all connections of a session. No stream
// can be held back alone (client-go keeps no windows), so one that the pod
// does not read holds back its session, but never another.
inline constexpr size_t kMaxPendingForward = 262144;

// Returns when the client is gone, with every connection closed.
// `creation_timeout`: for the second stream of a pair.
void ServePortForward(Wire& wire, std::string_view early,
                      const Request& request, const Upgrade& upgrade,
                      Backend& backend,
                      std::chrono::nanoseconds creation_timeout);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_PORT_FORWARD_H_
