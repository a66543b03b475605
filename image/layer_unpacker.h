// Reads a tar stream (ustar, pax, GNU) and applies it to a LayerTree.
//
// Thread-safe: each call works on its own arguments.

#ifndef PINION_IMAGE_LAYER_UNPACKER_H_
#define PINION_IMAGE_LAYER_UNPACKER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "image/byte_stream.h"
#include "image/layer_tree.h"

namespace pinion::image {

struct UnpackLimits {
  uint64_t entries = 1'000'000;
  // Of one layer: contents of its files, holes included.
  uint64_t bytes = uint64_t{64} << 30;
};

// Reads `tar` up to the end of the archive, not of the stream. InvalidArgument
// for a malformed archive or a refused entry; ResourceExhausted for a full
// disk. Errors of `tar` pass through unchanged.
absl::Status UnpackLayer(ByteStream& tar, LayerTree& tree,
                         const UnpackLimits& limits = {});

}  // namespace pinion::image

#endif  // PINION_IMAGE_LAYER_UNPACKER_H_
