// The longest message in either direction (the kubelet's and crictl's own
// limit), and the longest word in one.

#ifndef PINION_CRI_MESSAGE_LIMIT_H_
#define PINION_CRI_MESSAGE_LIMIT_H_

#include <cstddef>

namespace pinion::cri {

inline constexpr int kMaxMessageBytes = 16 << 20;

// One string of argv or the environment with its end (execve(2):
// MAX_ARG_STRLEN).
inline constexpr size_t kMaxArgument = size_t{128} << 10;

}  // namespace pinion::cri

#endif  // PINION_CRI_MESSAGE_LIMIT_H_
