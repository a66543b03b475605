// What pods use, as AdminService.PodUsage says it.
//
// Thread-safe: pure.

#ifndef PINION_CRI_TRANSLATE_USAGE_H_
#define PINION_CRI_TRANSLATE_USAGE_H_

#include "admin.pb.h"
#include "runtime/usage.h"

namespace pinion::cri {

// `usage` as measured with UsageDetail::kCgroups. Containers that do not run
// are left out; when it was read is the caller's to say.
void ToPodUsage(const runtime::PodUsage& usage, admin::v1::PodUsage* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_USAGE_H_
