// Reads files from an image's layers as the container would see them, without
// mounting anything.
//
// Follows overlayfs' rules (Documentation/filesystems/overlayfs.rst): a
// character device 0:0 hides a name, trusted.overlay.opaque hides what lies
// below a directory. Links are resolved within the stack: neither they nor
// ".." leave it. Every name is opened by itself and without following, so
// nothing an image holds can lead outside.
//
// Thread-safe: const after construction.

#ifndef PINION_RUNTIME_PLAN_LAYER_STACK_H_
#define PINION_RUNTIME_PLAN_LAYER_STACK_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::plan {

class LayerStack {
 public:
  // `dirs`: the layers' directories, topmost first.
  static absl::StatusOr<LayerStack> Open(const std::vector<std::string>& dirs);

  // A regular file's content. NotFound if there is none; InvalidArgument if
  // it is something else, or the path has too many links; ResourceExhausted
  // if it is longer than `limit` bytes.
  absl::StatusOr<std::string> ReadFile(const std::string& path,
                                       size_t limit) const;

 private:
  // One directory of the merged view: its instances, topmost first.
  using MergedDir = std::vector<std::shared_ptr<os::UniqueFd>>;

  // What a name in a merged directory is.
  struct Entry {
    enum class Kind { kMissing, kDir, kLink, kOther };
    Kind kind = Kind::kMissing;
    MergedDir dir;       // kDir
    std::string target;  // kLink
    int parent = -1;     // kOther: the directory that holds it
  };

  static absl::StatusOr<Entry> Lookup(const MergedDir& dir,
                                      const std::string& name);

  MergedDir root_;
};

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_LAYER_STACK_H_
