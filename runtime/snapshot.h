// What readers see of a pod or container: one state of its record, which
// never changes.

#ifndef PINION_RUNTIME_SNAPSHOT_H_
#define PINION_RUNTIME_SNAPSHOT_H_

#include <memory>

#include "state.pb.h"

namespace pinion::runtime {

using PodSnapshot = std::shared_ptr<const state::PodRecord>;
using ContainerSnapshot = std::shared_ptr<const state::ContainerRecord>;

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_SNAPSHOT_H_
