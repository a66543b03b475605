#include "tools/cpus.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace pinion::tools {
namespace {

constexpr char kShared = '.';
constexpr char kReserved = '*';
constexpr char kIdle = '-';
// More owners than letters: the table still tells them apart.
constexpr char kAnyOwner = '#';
constexpr char kLetters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

char LetterOf(size_t owner) {
  return owner < sizeof(kLetters) - 1 ? kLetters[owner] : kAnyOwner;
}

std::map<int, char> Marks(const CpuMap& map) {
  std::map<int, char> marks;
  for (const CpuMapCpu& cpu : map.cpus) marks[cpu.id] = kShared;
  for (const int cpu : map.reserved) marks[cpu] = kReserved;
  for (size_t i = 0; i < map.owners.size(); ++i) {
    for (const int cpu : map.owners[i].cpus) marks[cpu] = LetterOf(i);
    for (const int cpu : map.owners[i].idle) marks[cpu] = kIdle;
  }
  return marks;
}

using Cores = std::map<int, CpuSet>;

// The lines of one node: as many cores as the terminal has room for, but a
// power of two, so that the lines' numbers are easy to count from.
std::string DrawCores(const Cores& cores, const std::map<int, char>& marks,
                      const Terminal& terminal) {
  constexpr size_t kLabel = 7;
  size_t core_width = 3;
  for (const auto& [core, cpus] : cores) {
    core_width = std::max(core_width, cpus.size() + 2);
  }
  size_t in_line = 1;
  while (in_line < 32 && kLabel + in_line * 2 * core_width <= terminal.width) {
    in_line *= 2;
  }
  std::string text;
  size_t drawn = 0;
  for (const auto& [core, cpus] : cores) {
    if (drawn++ % in_line == 0) {
      absl::StrAppend(&text, drawn == 1 ? "" : "\n",
                      PadLeft(absl::StrCat(core), kLabel - 2), "  ");
    }
    std::string inside;
    for (const int cpu : cpus) inside += marks.at(cpu);
    const bool owned = inside.find_first_not_of(".*") != std::string::npos;
    absl::StrAppend(&text, terminal.Paint(owned ? Style::kCyan : Style::kPlain,
                                          absl::StrCat("[", inside, "]")));
  }
  return text + "\n";
}

std::string Count(size_t count, const std::string& of) {
  return absl::StrCat(count, " ", of, count == 1 ? "" : "s");
}

std::string Heading(const CpuMap& map, const Terminal& terminal) {
  CpuSet sockets, nodes, cores;
  for (const CpuMapCpu& cpu : map.cpus) {
    sockets.Add(cpu.socket);
    nodes.Add(cpu.node);
    cores.Add(cpu.core);
  }
  return absl::StrCat(
      terminal.Paint(Style::kBold, Count(map.cpus.size(), "CPU")), ": ",
      Count(sockets.size(), "socket"), ", ", Count(nodes.size(), "NUMA node"),
      ", ", Count(cores.size(), "core"), "; cpu.policy ", map.policy, "\n");
}

std::string Owners(const CpuMap& map) {
  std::map<int, int> node_of;
  for (const CpuMapCpu& cpu : map.cpus) node_of[cpu.id] = cpu.node;
  std::vector<std::vector<std::string>> table = {
      {" ", "CPUS", "NUMBER", "NODE", "CONTAINER"}};
  for (size_t i = 0; i < map.owners.size(); ++i) {
    const CpuMapOwner& owner = map.owners[i];
    CpuSet nodes;
    for (const int cpu : owner.cpus) nodes.Add(node_of[cpu]);
    std::string number = absl::StrCat(owner.cpus.size());
    if (!owner.idle.empty()) {
      absl::StrAppend(&number, " + ", owner.idle.size(), " idle");
    }
    if (!owner.partition.empty()) {
      absl::StrAppend(&number, ", partition: ", owner.partition);
    }
    if (owner.astray_on == "-") {
      absl::StrAppend(&number, ", NOT KEPT: no cpuset");
    } else if (!owner.astray_on.empty()) {
      absl::StrAppend(&number, ", RUNS ON ", owner.astray_on);
    }
    if (!owner.shared_with.empty()) {
      absl::StrAppend(&number, ", SHARED WITH ",
                      absl::StrJoin(owner.shared_with, " "));
    }
    table.push_back({std::string(1, LetterOf(i)), owner.cpus.ToString(), number,
                     nodes.ToString(),
                     absl::StrCat(owner.name, " (",
                                  owner.container_id.substr(0, 13), ")")});
  }
  return Table(table);
}

// What the marks mean that are no owner's.
std::string Pools(const CpuMap& map) {
  CpuSet idle;
  for (const CpuMapOwner& owner : map.owners) idle |= owner.idle;
  std::string text;
  const auto add = [&text](char mark, const std::string& what,
                           const CpuSet& cpus) {
    if (cpus.empty()) return;
    absl::StrAppend(&text, std::string(1, mark), "  ", what, " (", cpus.size(),
                    "): ", cpus.ToString(), "\n");
  };
  add(kShared, "shared pool", map.shared);
  add(kReserved, "of it reserved", map.reserved);
  add(kIdle, "kept idle beside a sibling", idle);
  return text;
}

}  // namespace

std::string RenderCpuMap(const CpuMap& map, const Terminal& terminal) {
  const std::map<int, char> marks = Marks(map);
  // By node and socket: a node may have several sockets, or half of one.
  std::map<std::pair<int, int>, Cores> places;
  std::map<std::pair<int, int>, CpuSet> cpus;
  for (const CpuMapCpu& cpu : map.cpus) {
    const auto place = std::make_pair(cpu.node, cpu.socket);
    places[place][cpu.core].Add(cpu.id);
    cpus[place].Add(cpu.id);
  }
  std::string text = Heading(map, terminal);
  for (const auto& [place, cores] : places) {
    absl::StrAppend(&text, "\nnode ", place.first, ", socket ", place.second,
                    ": CPUs ", cpus[place].ToString(), "\n",
                    DrawCores(cores, marks, terminal));
  }
  absl::StrAppend(&text, "\n", Pools(map));
  if (!map.owners.empty()) absl::StrAppend(&text, "\n", Owners(map));
  return text;
}

std::string CpuMapJson(const CpuMap& map) {
  nlohmann::json cpus = nlohmann::json::array();
  for (const CpuMapCpu& cpu : map.cpus) {
    cpus.push_back({{"cpu", cpu.id},
                    {"core", cpu.core},
                    {"socket", cpu.socket},
                    {"node", cpu.node}});
  }
  nlohmann::json owners = nlohmann::json::array();
  for (const CpuMapOwner& owner : map.owners) {
    owners.push_back({{"container_id", owner.container_id},
                      {"container", owner.name},
                      {"cpus", owner.cpus.ToString()},
                      {"idle", owner.idle.ToString()},
                      {"partition", owner.partition},
                      {"astray_on", owner.astray_on},
                      {"shared_with", owner.shared_with}});
  }
  const nlohmann::json root = {{"policy", map.policy},
                               {"cpus", cpus},
                               {"reserved", map.reserved.ToString()},
                               {"shared", map.shared.ToString()},
                               {"exclusive", owners}};
  return root.dump(2) + "\n";
}

}  // namespace pinion::tools
