// The RPCs that answer with a URL: Exec, Attach, PortForward. What the client
// then does at that URL is cri/streaming's.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_RUNTIME_SERVICE_STREAMING_H_
#define PINION_CRI_RUNTIME_SERVICE_STREAMING_H_

#include "absl/status/status.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {
namespace streaming {
class Server;
}

class StreamingRpcs {
 public:
  // Without a server every call is Unavailable.
  StreamingRpcs(runtime::Runtime* runtime, streaming::Server* server)
      : runtime_(*runtime), server_(server) {}

  // FailedPrecondition for a container that does not run: nothing is started
  // before the client comes, so this is only what is known by now.
  absl::Status Exec(const api::ExecRequest& request,
                    api::ExecResponse* response);
  absl::Status Attach(const api::AttachRequest& request,
                      api::AttachResponse* response);
  // FailedPrecondition for a pod that is not ready.
  absl::Status PortForward(const api::PortForwardRequest& request,
                           api::PortForwardResponse* response);

 private:
  runtime::Runtime& runtime_;
  streaming::Server* const server_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_STREAMING_H_
