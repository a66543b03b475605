// Whether pods can have user namespaces of their own on this node.

#ifndef PINION_RUNTIME_MONITOR_USER_NAMESPACE_PROBE_H_
#define PINION_RUNTIME_MONITOR_USER_NAMESPACE_PROBE_H_

namespace pinion::monitor {

// How the daemon calls the monitor's program for it; then the directory.
inline constexpr char kProbeOption[] = "--probe-user-namespaces";

// Does once what the start of a container does: maps the ids of `root` (the
// daemon's, with layers and containers in it) and mounts an overlay of it.
// Leaves the host's mount namespace. 0, or errno.
int ProbeUserNamespaces(const char* root);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_USER_NAMESPACE_PROBE_H_
