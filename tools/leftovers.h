// What pods could leave on a machine, counted before and after.
//
// Thread-safe.

#ifndef PINION_TOOLS_LEFTOVERS_H_
#define PINION_TOOLS_LEFTOVERS_H_

#include <map>
#include <string>
#include <vector>

namespace pinion::tools {

// What to look at; empty members are left out.
struct Places {
  std::string root;              // piniond's root: layers, containers
  std::string state;             // piniond's state: pods, addresses
  std::string cgroup_directory;  // below which pods' cgroups are
};

// Kind ("mounts", "links", "cgroups", "addresses in use", "layers",
// "container directories", "pod directories", "processes") -> how many.
using Census = std::map<std::string, size_t>;

// Links are those of the calling process's network namespace; processes are
// this process's descendants.
Census Count(const Places& places);

// "cgroups: 1 more"; empty if nothing is left.
std::vector<std::string> Leftovers(const Census& before, const Census& after);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_LEFTOVERS_H_
