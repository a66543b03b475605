// Which CPUs of this machine share what: a core (SMT siblings), a socket, a
// NUMA node. Read once; a CPU that goes offline later stays in it.
//
// A value type; const methods are thread-safe.

#ifndef PINION_RUNTIME_CPU_TOPOLOGY_H_
#define PINION_RUNTIME_CPU_TOPOLOGY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cpu_set.h"

namespace pinion::cpu {

// The numbers are the kernel's, but for the core: that is the lowest number of
// its CPUs, because core_id is only unique within a socket.
struct Cpu {
  int id = 0;
  int core = 0;
  int socket = 0;
  int node = 0;

  bool operator==(const Cpu&) const = default;
};

class Topology {
 public:
  // Of what is online, from `sysfs` (/sys/devices/system; see
  // Documentation/admin-guide/cputopology.rst). Without NUMA all is node 0.
  // FailedPrecondition: the files contradict each other.
  static absl::StatusOr<Topology> Read(const std::string& sysfs);
  // InvalidArgument: a number twice or out of range, or none at all.
  static absl::StatusOr<Topology> Create(std::vector<Cpu> cpus);

  // Ascending by number.
  const std::vector<Cpu>& cpus() const { return cpus_; }
  const CpuSet& all() const { return all_; }

  // By the numbers of Cpu. Empty sets do not occur.
  const std::map<int, CpuSet>& cores() const { return cores_; }
  const std::map<int, CpuSet>& sockets() const { return sockets_; }
  const std::map<int, CpuSet>& nodes() const { return nodes_; }

  // Of a CPU there is.
  const Cpu& At(int id) const { return cpus_[index_.at(id)]; }
  // The nodes that the CPUs are on.
  CpuSet NodesOf(const CpuSet& cpus) const;

 private:
  explicit Topology(std::vector<Cpu> cpus);

  std::vector<Cpu> cpus_;
  CpuSet all_;
  std::map<int, size_t> index_;
  std::map<int, CpuSet> cores_;
  std::map<int, CpuSet> sockets_;
  std::map<int, CpuSet> nodes_;
};

}  // namespace pinion::cpu

#endif  // PINION_RUNTIME_CPU_TOPOLOGY_H_
