// A ByteStream over a string, in chunks of a given size.

#ifndef PINION_TESTS_UNIT_IMAGE_STRING_STREAM_H_
#define PINION_TESTS_UNIT_IMAGE_STRING_STREAM_H_

#include <algorithm>
#include <string>
#include <utility>

#include "image/byte_stream.h"

namespace pinion::image {

class StringStream : public ByteStream {
 public:
  explicit StringStream(std::string data, size_t chunk = 65536)
      : data_(std::move(data)), chunk_(chunk) {}

  absl::StatusOr<std::string_view> Next() override {
    // Copied, so that a consumer that keeps a chunk too long reads rubbish.
    const size_t size = std::min(chunk_, data_.size() - at_);
    current_ = data_.substr(at_, size);
    at_ += size;
    return std::string_view(current_);
  }

 private:
  const std::string data_;
  const size_t chunk_;
  std::string current_;
  size_t at_ = 0;
};

}  // namespace pinion::image

#endif  // PINION_TESTS_UNIT_IMAGE_STRING_STREAM_H_
