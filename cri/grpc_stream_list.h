// Lists that come as a stream of messages: no limit on how long they are.
//
// For the adapters only. Thread-safe.

#ifndef PINION_CRI_GRPC_STREAM_LIST_H_
#define PINION_CRI_GRPC_STREAM_LIST_H_

#include <google/protobuf/repeated_ptr_field.h>
#include <grpcpp/support/sync_stream.h>

#include <cstddef>

#include "absl/status/status.h"

namespace pinion::cri {

// A message is sent when it has this many bytes: few messages, each far below
// the client's limit of 16 MiB.
inline constexpr size_t kStreamMessageBytes = size_t{256} << 10;

// Moves every item into one message, at least one item a message; `field` is
// where a message holds them. Cancelled when the client has gone.
template <typename Response, typename Item>
absl::Status StreamItems(
    google::protobuf::RepeatedPtrField<Item>* items,
    google::protobuf::RepeatedPtrField<Item>* (Response::*field)(),
    grpc::ServerWriter<Response>* writer) {
  Response message;
  size_t bytes = 0;
  const auto send = [&] {
    const bool sent = writer->Write(message);
    message.Clear();
    bytes = 0;
    return sent;
  };
  for (Item& item : *items) {
    bytes += item.ByteSizeLong();
    (message.*field)()->Add()->Swap(&item);
    if (bytes >= kStreamMessageBytes && !send()) {
      return absl::CancelledError("the client has gone");
    }
  }
  if (bytes > 0 && !send()) return absl::CancelledError("the client has gone");
  return absl::OkStatus();
}

}  // namespace pinion::cri

#endif  // PINION_CRI_GRPC_STREAM_LIST_H_
