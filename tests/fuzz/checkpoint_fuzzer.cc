// A checkpoint archive that anybody wrote: read as a restore reads it. Nothing
// outside the two directories may appear or change. Needs root.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "os/file.h"
#include "runtime/checkpoint/archive.h"

namespace {

namespace os = pinion::os;
namespace checkpoint = pinion::checkpoint;

// The directories to fill, a file that no entry may reach, and nothing else.
class Bed {
 public:
  Bed() {
    char name[] = "/dev/shm/pn-checkpoint-fuzzer-XXXXXX";
    path_ = mkdtemp(name);
    const os::UniqueFd fd(
        open((path_ + "/victim").c_str(), O_WRONLY | O_CREAT, 0640));
    if (write(fd.get(), "intact", 6) != 6) abort();
    stat((path_ + "/victim").c_str(), &victim_);
  }
  ~Bed() { (void)os::RemoveTreeAt(AT_FDCWD, path_); }

  os::UniqueFd Fresh(const std::string& name) {
    const std::string dir = path_ + "/" + name;
    if (!os::RemoveTreeAt(AT_FDCWD, dir).ok()) abort();
    if (mkdir(dir.c_str(), 0700) != 0) abort();
    return os::UniqueFd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  void Check() const {
    struct stat now = {};
    if (stat((path_ + "/victim").c_str(), &now) != 0 ||
        now.st_mode != victim_.st_mode || now.st_uid != victim_.st_uid ||
        now.st_size != victim_.st_size || now.st_nlink != 1) {
      abort();
    }
    const auto names = os::ListDirAt(AT_FDCWD, path_);
    if (!names.ok() || names->size() != 3) abort();
  }

 private:
  std::string path_;
  struct stat victim_ = {};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Bed bed;
  const os::UniqueFd archive(memfd_create("archive", MFD_CLOEXEC));
  if (write(archive.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const auto documents = checkpoint::ReadDocuments(archive.get());
  if (documents.ok()) (void)checkpoint::ParseDocuments(*documents);
  const os::UniqueFd images = bed.Fresh("images");
  checkpoint::UnpackLimits limits;
  limits.entries = 200;
  limits.bytes = 1 << 20;
  (void)checkpoint::UnpackArchive(archive.get(), images.get(),
                                  bed.Fresh("root"), limits);
  bed.Check();
  return 0;
}
