// Port forwarding's way into a pod: a connection made from inside its network
// namespace. The monitor makes the sockets, which belong to the namespace they
// were made in; so nobody here calls setns.

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

// A monitor answers within a millisecond. One that is stopped must not keep a
// session, which has other connections, waiting for as long as other calls
// do.
constexpr std::chrono::seconds kSocketsDeadline(2);

}  // namespace

absl::StatusOr<PortConnection> ConnectPort(Context& context,
                                           const std::string& pod_id,
                                           uint16_t port) {
  if (port == 0) return absl::InvalidArgumentError("port 0 is no port");
  PINION_ASSIGN_OR_RETURN(const PodPtr pod, context.objects.FindPod(pod_id));
  if (pod->record.Get()->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", pod->id, " is not ready"));
  }
  const auto client = pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", pod->id, " has no monitor"));
  }
  PINION_ASSIGN_OR_RETURN(
      monitor::TcpSockets sockets,
      client->MakeSockets(std::chrono::steady_clock::now() + kSocketsDeadline));
  return PortConnection(std::move(sockets.ipv4), std::move(sockets.ipv6), port,
                        pod->id);
}

}  // namespace pinion::runtime
