#include "runtime/cpu/topology.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::cpu {
namespace {

absl::StatusOr<CpuSet> ReadList(const std::string& path) {
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(AT_FDCWD, path));
  PINION_ASSIGN_OR_RETURN_AS(CpuSet set, CpuSet::Parse(text), path);
  return set;
}

absl::StatusOr<int> ReadNumber(const std::string& path) {
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(AT_FDCWD, path));
  int number = 0;
  if (!absl::SimpleAtoi(absl::StripSuffix(text, "\n"), &number)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no number: ", text));
  }
  return number;
}

// Node of each CPU; empty without NUMA.
absl::StatusOr<std::map<int, int>> ReadNodes(const std::string& sysfs) {
  std::map<int, int> node_of;
  const auto online = ReadList(sysfs + "/node/online");
  if (absl::IsNotFound(online.status())) return node_of;
  PINION_RETURN_IF_ERROR(online.status());
  for (const int node : *online) {
    PINION_ASSIGN_OR_RETURN(
        const CpuSet cpus,
        ReadList(absl::StrCat(sysfs, "/node/node", node, "/cpulist")));
    for (const int cpu : cpus) node_of[cpu] = node;
  }
  return node_of;
}

absl::StatusOr<Cpu> ReadCpu(const std::string& sysfs, int id) {
  const std::string dir = absl::StrCat(sysfs, "/cpu/cpu", id, "/topology");
  PINION_ASSIGN_OR_RETURN(const CpuSet siblings,
                          ReadList(dir + "/thread_siblings_list"));
  if (!siblings.Contains(id)) {
    return absl::FailedPreconditionError(
        absl::StrCat(dir, "/thread_siblings_list does not name its own CPU: ",
                     siblings.ToString()));
  }
  Cpu cpu;
  cpu.id = id;
  cpu.core = *siblings.begin();
  PINION_ASSIGN_OR_RETURN(cpu.socket, ReadNumber(dir + "/physical_package_id"));
  // Some virtual machines say -1.
  cpu.socket = std::max(cpu.socket, 0);
  return cpu;
}

}  // namespace

Topology::Topology(std::vector<Cpu> cpus) : cpus_(std::move(cpus)) {
  for (size_t i = 0; i < cpus_.size(); ++i) {
    const Cpu& cpu = cpus_[i];
    index_[cpu.id] = i;
    all_.Add(cpu.id);
    cores_[cpu.core].Add(cpu.id);
    sockets_[cpu.socket].Add(cpu.id);
    nodes_[cpu.node].Add(cpu.id);
  }
}

absl::StatusOr<Topology> Topology::Create(std::vector<Cpu> cpus) {
  if (cpus.empty()) {
    return absl::InvalidArgumentError("a topology without a CPU");
  }
  std::sort(cpus.begin(), cpus.end(),
            [](const Cpu& a, const Cpu& b) { return a.id < b.id; });
  for (size_t i = 0; i < cpus.size(); ++i) {
    for (const int number : {cpus[i].id, cpus[i].node}) {
      if (number >= 0 && number < CpuSet::kMax) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "CPU ", cpus[i].id, " of node ", cpus[i].node, " is out of range"));
    }
    if (i > 0 && cpus[i].id == cpus[i - 1].id) {
      return absl::InvalidArgumentError(
          absl::StrCat("CPU ", cpus[i].id, " is in the topology twice"));
    }
  }
  return Topology(std::move(cpus));
}

absl::StatusOr<Topology> Topology::Read(const std::string& sysfs) {
  PINION_ASSIGN_OR_RETURN(const CpuSet online, ReadList(sysfs + "/cpu/online"));
  PINION_ASSIGN_OR_RETURN(const auto node_of, ReadNodes(sysfs));
  std::vector<Cpu> cpus;
  for (const int id : online) {
    PINION_ASSIGN_OR_RETURN(Cpu cpu, ReadCpu(sysfs, id));
    const auto node = node_of.find(id);
    if (node != node_of.end()) cpu.node = node->second;
    cpus.push_back(cpu);
  }
  return Create(std::move(cpus));
}

CpuSet Topology::NodesOf(const CpuSet& cpus) const {
  CpuSet nodes;
  for (const int id : cpus) nodes.Add(At(id).node);
  return nodes;
}

}  // namespace pinion::cpu
