// What an update of resources means: fields that are set replace those of the
// record, fields that are not leave them. Pure.

#ifndef PINION_RUNTIME_UPDATE_RESOURCES_H_
#define PINION_RUNTIME_UPDATE_RESOURCES_H_

#include "state.pb.h"

namespace pinion::runtime {

// `now` with `changes`. Zero and empty are "not set". Huge page limits are
// replaced by size, `unified` by file. A memory limit that comes without a
// swap limit leaves the swap that may be used beside it as it is (the CRI's
// swap limit counts both together); no memory limit, no swap limit.
state::Resources Merge(const state::Resources& now,
                       const state::Resources& changes);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_UPDATE_RESOURCES_H_
