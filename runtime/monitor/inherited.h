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

// A template (template.h) has /dev/null as 0, 1, 2 and 4, its connection to
// the daemon as 3 and the image as 5. This is what it is called in the place of
// a pod's id, filled up with blanks to the length of one.
inline constexpr int kTemplateLinkFd = kListenFd;
inline constexpr char kTemplateName[] = "(template)";
// Of both; the daemon makes the one ahead of the monitor, a copy of a template
// makes its own.
inline constexpr char kSocketName[] = "monitor.sock";
inline constexpr char kLogName[] = "monitor.log";
// Daemons that connect while the monitor is busy or stopped: each restart of
// piniond adds one.
inline constexpr int kBacklog = 128;

// The number under which it keeps its pod's network namespace open, so that
// /proc/<monitor>/fd/10 names it.
inline constexpr int kNetnsFd = 10;

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_INHERITED_H_
