// The checkpoint archive: a tar laid out as the kubelet's checkpoint API has it
//
//   config.dump, spec.dump       what the container is (metadata.h)
//   checkpoint/*                 criu's images, and descriptors.json
//   rootfs-diff.tar              what it changed in its root, an OCI layer
//   dump.log                     criu's
//
// Thread-safe. An archive that is read may be anybody's: sizes and counts are
// bounded, no name leads out of the directories given, nothing but what is
// listed above is taken.

#ifndef PINION_RUNTIME_CHECKPOINT_ARCHIVE_H_
#define PINION_RUNTIME_CHECKPOINT_ARCHIVE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/checkpoint/metadata.h"

namespace pinion::checkpoint {

struct ArchiveParts {
  Documents documents;
  int images_dir = -1;  // criu's images and its log
  int root_diff = -1;   // rootfs-diff.tar, read from its start
};

// Creates or replaces `path` (absolute), mode 0600, in one step: whoever looks
// there finds a whole archive or what was there before. Nothing is left on an
// error, nor, where the file system has O_TMPFILE, after a crash.
absl::Status WriteArchive(const ArchiveParts& parts, const std::string& path);

// Opens an archive for reading. What is in it will run with powers that it
// chooses itself, so PermissionDenied if somebody but root could have written
// it; NotFound; InvalidArgument if it is no regular file.
absl::StatusOr<os::UniqueFd> OpenArchive(const std::string& path);

// The documents among its entries, from the start of the file.
absl::StatusOr<Documents> ReadDocuments(int archive);

struct UnpackLimits {
  uint64_t entries = 100'000;
  // Of all files together; more is ResourceExhausted.
  uint64_t bytes = 0;
};

// Puts criu's images into `images_dir` and applies the root's changes to
// `root` (an empty directory: an overlay's upper), from the start of the file.
absl::Status UnpackArchive(int archive, int images_dir, os::UniqueFd root,
                           const UnpackLimits& limits);

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_ARCHIVE_H_
