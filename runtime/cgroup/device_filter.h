// Loads device programs and attaches them to cgroups.
//
// Thread-safe. Loaded programs are kept by their text: most containers ask
// for the same devices, and an attached program needs no second load.

#ifndef PINION_RUNTIME_CGROUP_DEVICE_FILTER_H_
#define PINION_RUNTIME_CGROUP_DEVICE_FILTER_H_

#include <linux/bpf.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::cgroup {

class DeviceFilters {
 public:
  // Attaches `program` to the cgroup (a readable directory descriptor) and
  // detaches whatever was attached directly to it before; there is no moment
  // without a filter. PermissionDenied, with the reason, where bpf(2) is
  // refused.
  absl::Status Attach(int cgroup, const std::vector<bpf_insn>& program)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Loaded = std::shared_ptr<const os::UniqueFd>;
  absl::StatusOr<Loaded> Load(const std::vector<bpf_insn>& program)
      ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::map<std::string, Loaded> loaded_ ABSL_GUARDED_BY(mutex_);
};

// Ids of the device programs attached directly to the cgroup.
absl::StatusOr<std::vector<uint32_t>> AttachedDevicePrograms(int cgroup);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_DEVICE_FILTER_H_
