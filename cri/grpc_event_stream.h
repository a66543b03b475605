// GetContainerEvents, on gRPC's callback API: a subscriber costs an object and
// a queue, not a thread as the sync API would have it.
//
// Thread-safe.

#ifndef PINION_CRI_GRPC_EVENT_STREAM_H_
#define PINION_CRI_GRPC_EVENT_STREAM_H_

#include <grpcpp/grpcpp.h>

#include "cri/api.h"
#include "cri/rpc_decorator.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

// Subscribers at once; one more is answered ResourceExhausted.
inline constexpr int kMaxEventStreams = 64;

// The stream of one subscriber; it deletes itself when the call ends: when
// the client goes, the server shuts down, or the client falls so far behind
// that its queue overflows (ResourceExhausted, or Cancelled if it did not even
// take what was sent already). `runtime` and `decorator` outlive the call.
grpc::ServerWriteReactor<api::ContainerEventResponse>* NewEventStream(
    runtime::Runtime& runtime, RpcDecorator& decorator,
    grpc::CallbackServerContext* context);

}  // namespace pinion::cri

#endif  // PINION_CRI_GRPC_EVENT_STREAM_H_
