#include "os/socket_filter.h"

#include <sys/socket.h>

#include "os/error.h"

namespace pinion::os {

absl::Status AttachFilter(int socket, std::span<const sock_filter> program) {
  // The kernel copies it; its type names no const.
  const sock_fprog argument = {static_cast<unsigned short>(program.size()),
                               const_cast<sock_filter*>(program.data())};
  if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &argument,
                 sizeof(argument)) != 0) {
    return ErrnoStatus("setsockopt SO_ATTACH_FILTER");
  }
  return absl::OkStatus();
}

void EnlargeQueue(int socket, int bytes) {
  (void)setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
}

}  // namespace pinion::os
