// One layer's directory while it is being filled: applies tar entries as an
// overlayfs lower layer wants them, and lets none of them out of the
// directory.
//
// Not thread-safe; the directory belongs to this object alone. Names come
// from strangers: a name is cut into components, ".." and empty ones are
// refused or dropped before any system call, symbolic links in the middle of
// a path are followed inside the directory only (openat2, RESOLVE_IN_ROOT).
//
// Whiteouts are the OCI layer specification's: ".wh.NAME" hides NAME of the
// layers below (overlayfs: a character device 0:0), ".wh..wh..opq" hides
// everything below in its directory (overlayfs: trusted.overlay.opaque).

#ifndef PINION_IMAGE_LAYER_TREE_H_
#define PINION_IMAGE_LAYER_TREE_H_

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::image {

struct TreeEntry {
  std::string path;  // as in the archive
  mode_t mode = 0;   // with the type
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t rdev = 0;
  timespec mtime = {};
  std::string symlink;   // target, as is
  std::string hardlink;  // path in the archive of the file to link to
  std::vector<std::pair<std::string, std::string>> xattrs;
};

class LayerTree {
 public:
  // `root`: an empty directory.
  explicit LayerTree(os::UniqueFd root);

  // Applies one entry. For a regular file the result is open for writing its
  // content (call FinishFile with it), else it is invalid.
  absl::StatusOr<os::UniqueFd> Apply(const TreeEntry& entry);

  // After the content: owner, mode, attributes, times.
  absl::Status FinishFile(const os::UniqueFd& file, const TreeEntry& entry,
                          uint64_t size);

  // After the last entry: times of directories, and the root's own mode if
  // no entry named it.
  absl::Status Finish();

  // Bytes that the entries take on the disk, about, and their number.
  uint64_t bytes() const { return bytes_; }
  uint64_t inodes() const { return inodes_; }
  // Whether "./" was among the entries.
  bool root_given() const { return root_given_; }
  // Whether the whole of the layers below is hidden.
  bool root_opaque() const { return root_opaque_; }
  // Directories that no entry named, only paths through them.
  const std::set<std::string>& implicit() const { return implicit_; }

 private:
  struct Place {
    int dir = -1;        // borrowed: parent_ or root_
    std::string parent;  // normalised path of the directory
    std::string name;    // one component; empty: the root itself
  };

  absl::StatusOr<Place> Locate(const std::string& path);
  absl::Status EnterParent(const std::string& parent);
  absl::StatusOr<std::string> MakeParents(const std::string& parent);

  absl::Status ApplyRoot(const TreeEntry& entry);
  absl::Status ApplyWhiteout(const Place& place, const TreeEntry& entry);
  absl::Status ApplyDirectory(const Place& place, const TreeEntry& entry);
  absl::Status ApplyHardLink(const TreeEntry& entry);
  absl::Status ApplyNode(const Place& place, const TreeEntry& entry);
  // Removes what is at the place; says in `hides` if what comes now must
  // hide the layers below (a whiteout or a file was there).
  absl::Status Clear(const Place& place, bool keep_directory, bool& exists,
                     bool& hides);
  absl::Status SetAttributes(int dir, const std::string& name,
                             const TreeEntry& entry);
  absl::Status SetXattrs(int fd, const TreeEntry& entry);
  absl::Status SetOpaque(int fd, const std::string& path);
  void CountInode(uint64_t size);

  const os::UniqueFd root_;
  // The directory of the last entry: archives come directory by directory.
  os::UniqueFd parent_;
  std::string parent_path_;
  bool parent_known_ = false;

  std::map<std::string, timespec> directory_times_;
  std::set<std::string> implicit_;
  uint64_t bytes_ = 0;
  uint64_t inodes_ = 1;
  uint64_t remembered_ = 0;  // bytes of names in the two containers above
  bool root_given_ = false;
  bool root_opaque_ = false;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_LAYER_TREE_H_
