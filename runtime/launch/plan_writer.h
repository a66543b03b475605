// Flattens a LaunchSpec into a launch plan: one block of bytes without
// pointers, versioned and append-only, so that an old monitor understands a
// newer daemon's plan.
//
// Thread-safe.

#ifndef PINION_RUNTIME_LAUNCH_PLAN_WRITER_H_
#define PINION_RUNTIME_LAUNCH_PLAN_WRITER_H_

#include <string>

#include "runtime/launch/launch_spec.h"

namespace pinion::launch {

std::string EncodePlan(const LaunchSpec& spec);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_PLAN_WRITER_H_
