// Decompression of layers: gzip (with any number of members), zstd (with any
// number of frames) or plain tar, told apart by their first bytes: media types
// lie.
//
// A stream belongs to one thread at a time. Memory: 128 KiB plus the format's
// window, for zstd at most 32 MiB (a frame that wants more is refused).

#ifndef PINION_IMAGE_INFLATE_H_
#define PINION_IMAGE_INFLATE_H_

#include <memory>

#include "image/byte_stream.h"

namespace pinion::image {

// InvalidArgument for corrupt or truncated data. Errors of `source` pass
// through. `source` must outlive the result.
absl::StatusOr<std::unique_ptr<ByteStream>> MakeInflateStream(
    ByteStream* source);

}  // namespace pinion::image

#endif  // PINION_IMAGE_INFLATE_H_
