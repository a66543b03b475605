// An image archive laid out in files: the members of a tar, compressed or
// not, each under a serial number in a scratch directory of its own, found by
// the name it has in the archive. No name from the archive reaches the file
// system.
//
// After Create thread-safe. The directory goes with the object.

#ifndef PINION_IMAGE_ARCHIVE_SPOOL_H_
#define PINION_IMAGE_ARCHIVE_SPOOL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "image/byte_stream.h"
#include "image/cancel_token.h"
#include "image/digest.h"
#include "os/unique_fd.h"

namespace pinion::image {

class ArchiveSpool {
 public:
  struct Member {
    int serial = 0;
    uint64_t size = 0;
    Digest digest;
  };

  // `directory`: to be created, on the file system of the store.
  static absl::StatusOr<std::unique_ptr<ArchiveSpool>> Create(
      const std::string& archive_path, const std::string& directory,
      const CancelToken* cancel);
  ~ArchiveSpool();

  ArchiveSpool(const ArchiveSpool&) = delete;
  ArchiveSpool& operator=(const ArchiveSpool&) = delete;

  bool Has(const std::string& name) const { return Find(name) != nullptr; }
  // Null if there is no such member. Links inside the archive are followed.
  const Member* Find(const std::string& name) const;
  // Null if no member has this content.
  const Member* FindContent(const Digest& digest) const;

  absl::StatusOr<std::unique_ptr<ByteStream>> Open(const Member& member) const;
  // All of a member of at most 4 MiB; NotFound if it is not there.
  absl::StatusOr<std::string> Read(const std::string& name) const;

 private:
  explicit ArchiveSpool(std::string directory)
      : directory_(std::move(directory)) {}

  absl::Status Fill(ByteStream& tar);

  const std::string directory_;
  os::UniqueFd directory_fd_;
  std::map<std::string, Member> members_;
  std::map<std::string, std::string> links_;  // name → name
  std::map<Digest, std::string> by_digest_;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_ARCHIVE_SPOOL_H_
