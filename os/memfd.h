// Anonymous files whose bytes can no longer change (memfd_create(2)).
//
// Thread-safe.

#ifndef PINION_OS_MEMFD_H_
#define PINION_OS_MEMFD_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

// A memfd with `bytes`, sealed against writing, growing, shrinking and further
// seals; close-on-exec. `name` shows in /proc only.
absl::StatusOr<UniqueFd> SealedMemfd(const std::string& name,
                                     std::string_view bytes);

}  // namespace pinion::os

#endif  // PINION_OS_MEMFD_H_
