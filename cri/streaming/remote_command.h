// A session of Exec or Attach: a process's stdio on a client's streams, by
// the remotecommand protocol v1 to v5.

#ifndef PINION_CRI_STREAMING_REMOTE_COMMAND_H_
#define PINION_CRI_STREAMING_REMOTE_COMMAND_H_

#include <chrono>
#include <string>
#include <string_view>

#include "cri/streaming/backend.h"
#include "cri/streaming/request.h"
#include "cri/streaming/upgrade.h"
#include "cri/streaming/wire.h"

namespace pinion::cri::streaming {

// After the end of the process its output is drained until it would block,
// or this much: what the process itself wrote is in the pipes by then, and a
// grandchild that keeps them open shall not hold the session.
inline constexpr size_t kMaxDrain = size_t{1} << 20;
// Input that the process has not read yet.
inline constexpr size_t kMaxPendingInput = 65536;

// Returns when the session is over and everything that it started is ended.
// `early` are bytes that came with the request's head. `creation_timeout`:
// for the client to open its streams.
void ServeRemoteCommand(Wire& wire, std::string_view early,
                        const Request& request, const Upgrade& upgrade,
                        Backend& backend,
                        std::chrono::nanoseconds creation_timeout);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_REMOTE_COMMAND_H_
