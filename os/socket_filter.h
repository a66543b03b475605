// What a socket takes in: which packets (socket(7), linux/filter.h), how many.
//
// Stateless; thread-safe.

#ifndef PINION_OS_SOCKET_FILTER_H_
#define PINION_OS_SOCKET_FILTER_H_

#include <linux/filter.h>

#include <span>

#include "absl/status/status.h"

namespace pinion::os {

// SO_ATTACH_FILTER: what is queued already stays.
absl::Status AttachFilter(int socket, std::span<const sock_filter> program);

// SO_RCVBUFFORCE, in bytes. Without CAP_NET_ADMIN the default has to do.
void EnlargeQueue(int socket, int bytes);

}  // namespace pinion::os

#endif  // PINION_OS_SOCKET_FILTER_H_
