// A small client of piniond's socket, for pinionctl, tests and benchmarks.
//
// The method is found from the request's type (each request message belongs
// to exactly one RPC of its file), so one function serves the CRI's two
// services and AdminService, and no caller sees a gRPC header.
//
// Thread-safe.

#ifndef PINION_TOOLS_CRI_CLIENT_H_
#define PINION_TOOLS_CRI_CLIENT_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace google::protobuf {
class Message;
}

namespace pinion::tools {

class CriClient {
 public:
  explicit CriClient(const std::string& socket_path);
  ~CriClient();

  // One unary RPC. The status has the server's code and message;
  // InvalidArgument if no RPC takes this request, Unavailable if nobody
  // serves the socket.
  absl::Status Call(
      const google::protobuf::Message& request,
      google::protobuf::Message* response,
      std::chrono::milliseconds timeout = std::chrono::minutes(2)) const;

  // Waits until the socket is served; DeadlineExceeded.
  absl::Status AwaitReady(std::chrono::milliseconds timeout) const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace pinion::tools

#endif  // PINION_TOOLS_CRI_CLIENT_H_
