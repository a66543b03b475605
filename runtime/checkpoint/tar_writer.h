// Writes a tar archive into a file: libarchive, hidden.
//
// Not thread-safe.

#ifndef PINION_RUNTIME_CHECKPOINT_TAR_WRITER_H_
#define PINION_RUNTIME_CHECKPOINT_TAR_WRITER_H_

#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

struct archive;

namespace pinion::checkpoint {

struct TarEntry {
  std::string path;
  struct stat st = {};   // mode, owner, times, device; size of what follows
  std::string symlink;   // target
  std::string hardlink;  // path of the entry that has the content
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Both take names of any bytes and any length.
enum class TarFormat {
  kGnu,  // no extended attributes; every tar(1) reads it without a word
  kPax,
};

class TarWriter {
 public:
  // Into `fd`, which is borrowed; `name` is what errors call it.
  TarWriter(int fd, TarFormat format, std::string name);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // An entry without content of its own.
  absl::Status Add(const TarEntry& entry);
  // A regular file of root's, mode 0600.
  absl::Status AddText(const std::string& path, std::string_view text);
  // `content` gives the entry's st.st_size bytes; one that became shorter
  // meanwhile is filled up with zeros. DeadlineExceeded.
  absl::Status AddFile(const TarEntry& entry, int content,
                       std::chrono::steady_clock::time_point deadline =
                           std::chrono::steady_clock::time_point::max());

  // The end of the archive; nothing may be added afterwards.
  absl::Status Finish();

 private:
  struct Free {
    void operator()(archive* a) const;
  };

  absl::Status Error() const;
  absl::Status Write(const char* data, size_t size);

  const std::string name_;
  const std::unique_ptr<archive, Free> archive_;
  bool open_ = false;
};

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_TAR_WRITER_H_
