// The sentence that an RPC gets which is not there yet.

#ifndef PINION_CRI_NOT_IMPLEMENTED_H_
#define PINION_CRI_NOT_IMPLEMENTED_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace pinion::cri {

inline absl::Status NotImplemented(const char* method) {
  return absl::UnimplementedError(
      absl::StrCat(method, " is not implemented by this version of pinion"));
}

}  // namespace pinion::cri

#endif  // PINION_CRI_NOT_IMPLEMENTED_H_
