// Attributes of directories that a layer goes through without naming them.
//
// An archive may hold "tmp/x" and no entry for "tmp/". Applied on top of the
// layers below, as the specification has it, /tmp keeps its mode 1777; in a
// directory of the layer's own it would be a fresh 0755, which overlayfs then
// shows. So such directories take owner, mode and time from the layers below.
//
// Thread-safe; doing it twice is the same as once.

#ifndef PINION_IMAGE_INHERIT_H_
#define PINION_IMAGE_INHERIT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "os/unique_fd.h"

namespace pinion::image {

// `implicit`: paths in `layer`, parents first. `below`: the roots of the
// layers below, topmost first. Only the first 10,000 paths are looked at:
// foreign data must not buy unlimited work.
absl::Status InheritAttributes(const os::UniqueFd& layer,
                               const std::vector<std::string>& implicit,
                               const std::vector<const os::UniqueFd*>& below);

}  // namespace pinion::image

#endif  // PINION_IMAGE_INHERIT_H_
