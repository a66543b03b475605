// A blob from a registry as one unbroken stream, whatever the network does.
//
// Belongs to one thread at a time; private to RegistryClient.

#ifndef PINION_IMAGE_BLOB_STREAM_H_
#define PINION_IMAGE_BLOB_STREAM_H_

#include <cstdint>
#include <memory>

#include "image/registry_client.h"

namespace pinion::image {

class BlobStream : public ByteStream {
 public:
  BlobStream(RegistryClient* registry, const Descriptor& descriptor);

  absl::StatusOr<std::string_view> Next() override;

 private:
  // Asks for the rest of the blob at the current endpoint.
  absl::Status Connect(std::chrono::seconds& retry_after);
  absl::Status CheckRange(const HttpResponse& response);
  // After an error: waits for the next try or moves to the next endpoint;
  // the error itself if there is no way on.
  absl::Status Recover(const absl::Status& error,
                       std::chrono::seconds retry_after);
  absl::StatusOr<std::string_view> Take(std::string_view chunk);
  size_t NextRemote() const;

  RegistryClient* const registry_;
  const Descriptor descriptor_;
  size_t remote_;
  size_t remotes_tried_ = 1;
  std::unique_ptr<HttpTransfer> transfer_;
  uint64_t offset_ = 0;  // handed out so far
  uint64_t skip_ = 0;    // of what comes: the server began at 0 again
  uint64_t offset_at_failure_ = 0;
  int failures_ = 0;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_BLOB_STREAM_H_
