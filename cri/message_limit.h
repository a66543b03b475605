// The longest message in either direction: the kubelet's and crictl's own
// limit.

#ifndef PINION_CRI_MESSAGE_LIMIT_H_
#define PINION_CRI_MESSAGE_LIMIT_H_

#include <cstddef>

namespace pinion::cri {

inline constexpr int kMaxMessageBytes = 16 << 20;

}  // namespace pinion::cri

#endif  // PINION_CRI_MESSAGE_LIMIT_H_
