// What the runtime is told about CPUs, and what it tells of them.

#ifndef PINION_RUNTIME_CPU_VIEW_H_
#define PINION_RUNTIME_CPU_VIEW_H_

#include <string>
#include <vector>

#include "base/cpu_set.h"
#include "runtime/cpu/allocator.h"
#include "runtime/cpu/topology.h"

namespace pinion::runtime {

struct CpuOptions {
  // Off: containers run wherever their caller says.
  bool pinning = false;
  CpuSet reserved;
  cpu::NumaPolicy numa = cpu::NumaPolicy::kBestEffort;
};

struct CpuOwner {
  std::string container_id;
  std::string pod_namespace;
  std::string pod_name;
  std::string container_name;
  CpuSet cpus;
  CpuSet idle;
  // cpuset.cpus.partition, if it is to be one; else empty.
  std::string partition;
  // cpuset.cpus.effective, if it is not `cpus`; "-": no cpuset is in force.
  std::string astray_on;
  // Containers whose callers named some of `cpus` for them:
  // "namespace/pod/container".
  std::vector<std::string> shared_with;
};

struct CpuView {
  bool pinning = false;
  // Ascending by number.
  std::vector<cpu::Cpu> cpus;
  CpuSet reserved;
  // All of them without pinning.
  CpuSet shared;
  std::vector<CpuOwner> owners;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CPU_VIEW_H_
