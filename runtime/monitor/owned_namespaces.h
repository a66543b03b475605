// The namespaces of a pod that has a user namespace of its own: they belong
// to that, so the monitor, which stays outside, lets a child make them and
// then joins all but the user namespace. Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_OWNED_NAMESPACES_H_
#define PINION_RUNTIME_MONITOR_OWNED_NAMESPACES_H_

#include "runtime/monitor/messages.h"
#include "runtime/monitor/pod_namespaces.h"

namespace pinion::monitor {

// As sysctl(8): a dot within a name (an interface's) is written as '/'. 0, or
// errno.
int WriteSysctl(std::string_view name, std::string_view value);

// Whether the sysctl is the IPC namespace's: only its own root may write it.
bool IsIpcSysctl(std::string_view name);

// Makes the user namespace with the request's maps and, owned by it, those of
// `flags` (CLONE_NEW{NET,IPC,UTS}), which the caller is in afterwards. The
// request's IPC sysctls are written on the way. *user_namespace is
// close-on-exec and the caller's.
bool EnterOwnedNamespaces(const SandboxMessage& request,
                          const MessageReader& reader, int flags,
                          int* user_namespace, Failed* failed);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_OWNED_NAMESPACES_H_
