// A set of CPU or NUMA node numbers, in the kernel's list format
// ("0-3,8,10-11"; cpuset(7), "List format").
//
// A value type; const methods are thread-safe.

#ifndef PINION_BASE_CPU_SET_H_
#define PINION_BASE_CPU_SET_H_

#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pinion {

class CpuSet {
 public:
  // Numbers are 0 … kMax - 1: the kernel's own largest NR_CPUS.
  static constexpr int kMax = 8192;

  CpuSet() = default;

  // An empty text is the empty set. InvalidArgument on anything that is not a
  // list of numbers and ascending ranges. A trailing newline is accepted.
  static absl::StatusOr<CpuSet> Parse(std::string_view text);

  void Add(int cpu) { cpus_.insert(cpu); }
  void Remove(int cpu) { cpus_.erase(cpu); }
  bool Contains(int cpu) const { return cpus_.count(cpu) != 0; }
  bool ContainsAll(const CpuSet& other) const;
  bool empty() const { return cpus_.empty(); }
  size_t size() const { return cpus_.size(); }

  // The shortest list, ascending: "0-3,8".
  std::string ToString() const;

  bool operator==(const CpuSet&) const = default;

  auto begin() const { return cpus_.begin(); }
  auto end() const { return cpus_.end(); }

 private:
  std::set<int> cpus_;
};

}  // namespace pinion

#endif  // PINION_BASE_CPU_SET_H_
