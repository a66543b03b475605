// A layer's tar, applied to a directory: nothing outside of it may appear or
// change, and no attribute that overlayfs obeys may come from the archive.
// Needs root.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "image/inflate.h"
#include "image/layer_tree.h"
#include "image/layer_unpacker.h"
#include "os/file.h"

namespace {

using pinion::image::ByteStream;
namespace os = pinion::os;

class Input : public ByteStream {
 public:
  explicit Input(std::string_view data) : data_(data) {}
  absl::StatusOr<std::string_view> Next() override {
    const std::string_view chunk = data_.substr(0, 4096);
    data_.remove_prefix(chunk.size());
    return chunk;
  }

 private:
  std::string_view data_;
};

// A directory with the layer, a file that no entry may reach, and nothing
// else.
class Bed {
 public:
  Bed() {
    char name[] = "/dev/shm/pn-layer-fuzzer-XXXXXX";
    path_ = mkdtemp(name);
    const int fd = open((path_ + "/victim").c_str(), O_WRONLY | O_CREAT, 0640);
    if (write(fd, "intact", 6) != 6) abort();
    close(fd);
    stat((path_ + "/victim").c_str(), &victim_);
  }
  ~Bed() { (void)os::RemoveTreeAt(AT_FDCWD, path_); }

  os::UniqueFd Layer() {
    const std::string layer = path_ + "/layer";
    if (!os::RemoveTreeAt(AT_FDCWD, layer).ok()) abort();
    if (mkdir(layer.c_str(), 0700) != 0) abort();
    return os::UniqueFd(
        open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  void Check() const {
    struct stat now = {};
    if (stat((path_ + "/victim").c_str(), &now) != 0 ||
        now.st_mode != victim_.st_mode || now.st_uid != victim_.st_uid ||
        now.st_size != victim_.st_size || now.st_nlink != 1 ||
        now.st_mtim.tv_sec != victim_.st_mtim.tv_sec) {
      abort();
    }
    const auto names = os::ListDirAt(AT_FDCWD, path_);
    if (!names.ok() || names->size() != 2) abort();
  }

 private:
  std::string path_;
  struct stat victim_ = {};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Bed bed;
  Input input(std::string_view(reinterpret_cast<const char*>(data), size));
  const auto inflated = pinion::image::MakeInflateStream(&input);
  if (!inflated.ok()) return 0;
  pinion::image::LayerTree tree(bed.Layer());
  pinion::image::UnpackLimits limits;
  limits.entries = 200;
  limits.bytes = 1 << 20;
  (void)pinion::image::UnpackLayer(**inflated, tree, limits);
  bed.Check();
  return 0;
}
