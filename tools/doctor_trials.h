// The doctor's experiments with the kernel. Each runs in a child process with
// namespaces of its own, so whatever it makes ends with the child.
//
// Call them while the process is single-threaded (they fork).

#ifndef PINION_TOOLS_DOCTOR_TRIALS_H_
#define PINION_TOOLS_DOCTOR_TRIALS_H_

#include <string>
#include <vector>

#include "tools/doctor.h"

namespace pinion::tools {

// An overlay by the new mount API, detached, whose directories are in
// `directory` (or its nearest parent that exists); removed afterwards.
Trial TryOverlay(const std::string& directory);

std::vector<NamespaceTrial> TryNamespaces();

// A macvlan on a veth in a network namespace of the child's.
Trial TryMacvlan();
// The same with an ipvlan.
Trial TryIpvlan();

// Loads a program of the cgroup device type (no cgroup gets it).
Trial TryCgroupBpf();

}  // namespace pinion::tools

#endif  // PINION_TOOLS_DOCTOR_TRIALS_H_
