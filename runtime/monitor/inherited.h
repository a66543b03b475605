// The monitor's descriptors with a fixed number.
// It is started with 0 to 5 in place.

#ifndef PINION_RUNTIME_MONITOR_INHERITED_H_
#define PINION_RUNTIME_MONITOR_INHERITED_H_

namespace pinion::monitor {

// 0 and 1 are /dev/null, 2 is monitor.log in the pod's directory.
inline constexpr int kListenFd = 3;  // monitor.sock, listening
inline constexpr int kPodDirFd = 4;
inline constexpr int kImageFd = 5;  // what it is executed from; closed at once
inline constexpr int kInheritedFds = 6;

// The number under which it keeps its pod's network namespace open, so that
// /proc/<monitor>/fd/10 names it.
inline constexpr int kNetnsFd = 10;

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_INHERITED_H_
