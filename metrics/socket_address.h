// "127.0.0.1:9469" and "[::1]:9469" as socket addresses.
//
// Thread-safe.

#ifndef PINION_METRICS_SOCKET_ADDRESS_H_
#define PINION_METRICS_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"

namespace pinion::metrics {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

// A numeric address and a port; IPv6 in brackets. InvalidArgument otherwise.
absl::StatusOr<SocketAddress> ParseSocketAddress(const std::string& text);

}  // namespace pinion::metrics

#endif  // PINION_METRICS_SOCKET_ADDRESS_H_
