// The files of a pod that its containers see as /etc/hostname, /etc/hosts and
// /etc/resolv.conf, and the check of its sysctls.
//
// Thread-safe.

#ifndef PINION_RUNTIME_POD_FILES_H_
#define PINION_RUNTIME_POD_FILES_H_

#include "absl/status/status.h"
#include "runtime/runtime.h"
#include "state.pb.h"

namespace pinion::runtime {

// Names below the pod's state directory.
inline constexpr char kHostnameFile[] = "hostname";
inline constexpr char kHostsFile[] = "hosts";
inline constexpr char kResolvConfFile[] = "resolv.conf";

// hostname and resolv.conf. What the request does not say is the node's.
absl::Status WritePodFiles(int pod_dir, const state::PodSpec& spec);

// hosts, once the pod has its addresses. With the node's network it is a
// copy of the node's.
absl::Status WriteHostsFile(int pod_dir, const state::PodRecord& pod);

// Only safe, namespaced sysctls, and those the configuration allows; none
// that would reach the node through a shared namespace.
absl::Status CheckPodSysctls(const Options& options,
                             const state::PodSpec& spec);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_POD_FILES_H_
