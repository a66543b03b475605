// What the containers' writable layers take on disk.

#ifndef PINION_RUNTIME_WRITABLE_USAGE_H_
#define PINION_RUNTIME_WRITABLE_USAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "image/image_service.h"

namespace pinion::runtime {

// Walks the directory below `dir` (named `path` in the answer and in errors)
// without crossing into other file systems; files that vanish meanwhile are
// left out. Counts blocks, as du(1) does, and a hard link once. Thread-safe.
absl::StatusOr<image::FsUsage> MeasureWritableLayers(int dir,
                                                     const std::string& path);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_WRITABLE_USAGE_H_
