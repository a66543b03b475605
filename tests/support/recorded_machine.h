// CPUs of real machines, recorded in tests/support/machines. (Tests run in
// the top folder of the tree.)

#ifndef PINION_TESTS_SUPPORT_RECORDED_MACHINE_H_
#define PINION_TESTS_SUPPORT_RECORDED_MACHINE_H_

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cpu_set.h"
#include "runtime/cpu/topology.h"

namespace pinion::testing {

// `name`: of the file, without .txt.
inline absl::StatusOr<cpu::Topology> RecordedMachine(const std::string& name) {
  std::ifstream file("tests/support/machines/" + name + ".txt");
  if (!file) return absl::NotFoundError("no recording of " + name);
  std::vector<cpu::Cpu> cpus;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    int node = 0;
    int socket = 0;
    std::string list;
    std::istringstream(line) >> node >> socket >> list;
    const auto core = CpuSet::Parse(list);
    if (!core.ok()) return core.status();
    for (const int cpu : *core) {
      cpus.push_back({cpu, *core->begin(), socket, node});
    }
  }
  return cpu::Topology::Create(std::move(cpus));
}

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_RECORDED_MACHINE_H_
