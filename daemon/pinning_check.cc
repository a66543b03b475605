#include "daemon/pinning_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/cpu_set.h"
#include "base/status_macros.h"
#include "daemon/reserved_cpus.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::daemon {

absl::Status CheckPinning(const Config& config) {
  if (!config.cpu.pinning) return absl::OkStatus();
  if (!config.cgroup.ignore_missing_controllers) {
    PINION_ASSIGN_OR_RETURN_AS(const cgroup::Hierarchy hierarchy,
                               cgroup::FindHierarchy(), "cgroups");
    const auto& there = hierarchy.controllers;
    if (std::find(there.begin(), there.end(), "cpuset") == there.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cpu.policy = \"static\" needs the cpuset controller in cgroup v2: ",
          cgroup::MissingControllerRemedy(hierarchy, "cpuset")));
    }
  }
  PINION_ASSIGN_OR_RETURN_AS(const CpuSet reserved,
                             CpuSet::Parse(config.cpu.reserved),
                             "cpu.reserved");
  PINION_ASSIGN_OR_RETURN(const CpuSet present,
                          PresentCpus("/sys/devices/system"));
  const auto problem = FindReservedProblem(reserved, present);
  if (!problem) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(problem->text, "; ", problem->remedy));
}

}  // namespace pinion::daemon
