// `pinionctl cpus`: the machine's CPUs by NUMA node and core, and whose they
// are. A pure function of both: as legible with 4 CPUs as with 256.

#ifndef PINION_TOOLS_CPUS_H_
#define PINION_TOOLS_CPUS_H_

#include <string>
#include <vector>

#include "base/cpu_set.h"
#include "tools/terminal.h"

namespace pinion::tools {

struct CpuMapCpu {
  int id = 0;
  int core = 0;  // the lowest number of the core's CPUs
  int socket = 0;
  int node = 0;
};

struct CpuMapOwner {
  std::string container_id;
  std::string name;  // "namespace/pod/container"
  CpuSet cpus;
  CpuSet idle;
  std::string partition;  // cpuset.cpus.partition; empty: it is to be none
  // cpuset.cpus.effective if it is not `cpus`; "-": no cpuset is in force
  std::string astray_on;
  // Containers whose callers named some of `cpus`: "namespace/pod/container".
  std::vector<std::string> shared_with = {};
};

struct CpuMap {
  std::string policy;  // "none" or "static"
  std::vector<CpuMapCpu> cpus;
  CpuSet reserved;
  CpuSet shared;
  std::vector<CpuMapOwner> owners;
};

// A core is a pair of brackets, a CPU a character in it; a line begins with
// the number of its first core. Owners have letters, which a table explains.
std::string RenderCpuMap(const CpuMap& map, const Terminal& terminal);
std::string CpuMapJson(const CpuMap& map);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_CPUS_H_
