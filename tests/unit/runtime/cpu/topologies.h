// Machines for tests, as the kubelet's own tests number them.

#ifndef PINION_TESTS_UNIT_RUNTIME_CPU_TOPOLOGIES_H_
#define PINION_TESTS_UNIT_RUNTIME_CPU_TOPOLOGIES_H_

#include <string_view>
#include <utility>
#include <vector>

#include "base/cpu_set.h"
#include "runtime/cpu/topology.h"

namespace pinion::cpu {

inline CpuSet Cpus(std::string_view list) { return *CpuSet::Parse(list); }

// One socket, four cores with two threads: {0,4}, {1,5}, {2,6}, {3,7}.
inline Topology OneSocket() {
  std::vector<Cpu> cpus;
  for (int id = 0; id < 8; ++id) cpus.push_back({id, id % 4, 0, 0});
  return *Topology::Create(std::move(cpus));
}

// Two sockets, each a node of three cores: even CPUs on the first.
inline Topology TwoSockets() {
  std::vector<Cpu> cpus;
  for (int id = 0; id < 12; ++id) {
    cpus.push_back({id, id % 6, id % 2, id % 2});
  }
  return *Topology::Create(std::move(cpus));
}

// Two sockets of two nodes each, ten cores a node; siblings are 40 apart.
inline Topology FourNodes() {
  std::vector<Cpu> cpus;
  for (int id = 0; id < 80; ++id) {
    cpus.push_back({id, id % 40, id % 40 / 20, id % 40 / 10});
  }
  return *Topology::Create(std::move(cpus));
}

}  // namespace pinion::cpu

#endif  // PINION_TESTS_UNIT_RUNTIME_CPU_TOPOLOGIES_H_
