// Bytes that are pulled chunk by chunk through a chain: registry → digest →
// inflate → digest → tar. No stage copies what it only looks at.
//
// A stream belongs to one thread at a time.

#ifndef PINION_IMAGE_BYTE_STREAM_H_
#define PINION_IMAGE_BYTE_STREAM_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "image/digest.h"

namespace pinion::image {

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // The next chunk, valid until the next call; empty at the end. After an
  // error or the end the stream must not be asked again.
  virtual absl::StatusOr<std::string_view> Next() = 0;
};

// Passes chunks through, hashing them, and refuses the chunk that exceeds
// `limit` bytes. May be asked again after the end.
class HashingStream : public ByteStream {
 public:
  HashingStream(ByteStream* source, uint64_t limit)
      : source_(source), limit_(limit) {}

  absl::StatusOr<std::string_view> Next() override;

  // Reads to the end, so that all of the source is hashed.
  absl::Status Drain();

  uint64_t size() const { return size_; }
  // Call once, at the end.
  Digest Finish() { return hasher_.Finish(); }

 private:
  ByteStream* const source_;
  const uint64_t limit_;
  uint64_t size_ = 0;
  bool ended_ = false;
  Sha256 hasher_;
};

// Everything, at most `limit` bytes (InvalidArgument beyond).
absl::StatusOr<std::string> ReadStream(ByteStream& stream, size_t limit);

}  // namespace pinion::image

#endif  // PINION_IMAGE_BYTE_STREAM_H_
