// libarchive's tar reader (ustar, pax, GNU) over a ByteStream.
//
// Not thread-safe. Errors of the stream pass through unchanged; those of the
// format are InvalidArgument.

#ifndef PINION_IMAGE_TAR_READER_H_
#define PINION_IMAGE_TAR_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "image/byte_stream.h"

struct archive;
struct archive_entry;

namespace pinion::image {

class TarReader {
 public:
  struct Block {
    std::string_view data;
    uint64_t offset;  // in the file; between blocks are holes
  };

  // `stream` outlives the reader.
  explicit TarReader(ByteStream* stream);
  ~TarReader();

  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry, valid until the next call; null at the end.
  absl::StatusOr<archive_entry*> Next();

  // The next piece of the entry's content, within its size and valid until
  // the next call; nullopt at its end.
  absl::StatusOr<std::optional<Block>> NextBlock();

 private:
  struct Input;
  struct Free {
    void operator()(archive* a) const;
  };

  absl::Status Error(const std::string& what) const;

  const std::unique_ptr<Input> input_;
  const std::unique_ptr<archive, Free> archive_;
  uint64_t size_ = 0;  // of the current entry
  bool open_ = false;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_TAR_READER_H_
