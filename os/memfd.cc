#include "os/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::os {

absl::StatusOr<UniqueFd> SealedMemfd(const std::string& name,
                                     std::string_view bytes) {
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("memfd_create ", name));
  PINION_RETURN_IF_ERROR(WriteAll(fd.get(), bytes, name));
  if (fcntl(fd.get(), F_ADD_SEALS,
            F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return ErrnoStatus(absl::StrCat("seal memfd ", name));
  }
  return fd;
}

}  // namespace pinion::os
