// Times-out as the CRI gives them: whole seconds, signed.
//
// Pure function.

#ifndef PINION_CRI_RPC_SECONDS_H_
#define PINION_CRI_RPC_SECONDS_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "absl/status/statusor.h"
#include "cri/field.h"

namespace pinion::cri {

// InvalidArgument for a negative number. More than ten years count as that,
// so that adding it to the time of day cannot overflow (Kubernetes accepts
// any int64 as a grace period).
inline absl::StatusOr<std::chrono::seconds> ToSeconds(std::string_view field,
                                                      int64_t seconds) {
  constexpr int64_t kTenYears = int64_t{10} * 366 * 24 * 3600;
  if (seconds < 0) {
    return Refuse(Field(field), seconds, "must not be negative");
  }
  return std::chrono::seconds(std::min(seconds, kTenYears));
}

}  // namespace pinion::cri

#endif  // PINION_CRI_RPC_SECONDS_H_
