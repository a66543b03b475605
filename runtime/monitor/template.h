// A template: a monitor that has been executed, has no pod, and makes copies of
// itself that become pods' monitors. A copy costs a clone of a small static
// process (0.1 ms) where a monitor of its own costs clone and exec (0.4 ms).
//
// The copy is the daemon's child, like every monitor (CLONE_PARENT), is born in
// the pod's cgroup (CLONE_INTO_CGROUP: being moved there waits for RCU), and
// has exactly the descriptors, session and name that a monitor of its own has.
//
// Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_TEMPLATE_H_
#define PINION_RUNTIME_MONITOR_TEMPLATE_H_

#include <cstddef>

namespace pinion::monitor {

// Serves kClone on kTemplateLinkFd until the daemon is gone, then returns -1.
// In a copy it returns as well: the daemon's first connection to it, with the
// descriptors of inherited.h in place. `name` is argv[1], `size` bytes, in
// which a copy writes its pod's id; an id of another length is refused
// (ENAMETOOLONG).
int ServeTemplate(char* name, size_t size);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_TEMPLATE_H_
