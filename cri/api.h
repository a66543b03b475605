// The CRI's messages under the short name api:: (the package runtime.v1 gives
// them a namespace that pinion::runtime would hide).

#ifndef PINION_CRI_API_H_
#define PINION_CRI_API_H_

#include "runtime/v1/api.pb.h"

namespace pinion::cri {

namespace api = ::runtime::v1;

}  // namespace pinion::cri

#endif  // PINION_CRI_API_H_
