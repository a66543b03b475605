// The device filter of cgroup v2 as a BPF program: pure generation.
//
// A BPF_PROG_TYPE_CGROUP_DEVICE program is asked at every open and mknod of a
// device (linux/bpf.h, struct bpf_cgroup_dev_ctx) and answers 1 (allowed) or
// 0 (EPERM). Rules are tried in order; one that covers the whole request
// allows it; what no rule covers is denied.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_DEVICE_PROGRAM_H_
#define PINION_RUNTIME_CGROUP_DEVICE_PROGRAM_H_

#include <linux/bpf.h>

#include <vector>

#include "absl/status/statusor.h"
#include "runtime/cgroup/container_cgroup.h"

namespace pinion::cgroup {

// InvalidArgument for a rule whose type is not 'b' or 'c', whose access is
// empty or not of "rwm", whose number does not fit 32 bits, and for more than
// 256 rules.
absl::StatusOr<std::vector<bpf_insn>> DeviceProgram(
    const std::vector<DeviceRule>& rules);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_DEVICE_PROGRAM_H_
