// A set of CPU or NUMA node numbers, in the kernel's list format
// ("0-3,8,10-11"; cpuset(7), "List format").
//
// A value type; const methods are thread-safe. One bit a number: operations
// take as many words as the largest number needs.

#ifndef PINION_BASE_CPU_SET_H_
#define PINION_BASE_CPU_SET_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion {

class CpuSet {
 public:
  // Numbers are 0 … kMax - 1: the kernel's own largest NR_CPUS.
  static constexpr int kMax = 8192;

  // Ascending. Invalid once the set is changed.
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    using pointer = const int*;
    using reference = int;

    Iterator() = default;
    int operator*() const { return cpu_; }
    Iterator& operator++() {
      cpu_ = set_->NextFrom(cpu_ + 1);
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    friend class CpuSet;
    Iterator(const CpuSet* set, int cpu) : set_(set), cpu_(cpu) {}
    const CpuSet* set_ = nullptr;
    int cpu_ = kMax;
  };

  CpuSet() = default;

  // An empty text is the empty set. InvalidArgument on anything that is not a
  // list of numbers and ascending ranges. A trailing newline is accepted.
  static absl::StatusOr<CpuSet> Parse(std::string_view text);

  // Numbers outside 0 … kMax - 1 are a bug of the caller.
  void Add(int cpu);
  void Remove(int cpu);
  bool Contains(int cpu) const;
  bool ContainsAll(const CpuSet& other) const;
  bool empty() const { return words_.empty(); }
  size_t size() const;

  // What is in either, in both, and in this one only.
  CpuSet& operator|=(const CpuSet& other);
  CpuSet& operator&=(const CpuSet& other);
  CpuSet& operator-=(const CpuSet& other);
  friend CpuSet operator|(CpuSet a, const CpuSet& b) { return a |= b; }
  friend CpuSet operator&(CpuSet a, const CpuSet& b) { return a &= b; }
  friend CpuSet operator-(CpuSet a, const CpuSet& b) { return a -= b; }
  // (*this & other).size()
  size_t SizeOfBoth(const CpuSet& other) const;

  // The shortest list, ascending: "0-3,8".
  std::string ToString() const;

  bool operator==(const CpuSet&) const = default;

  Iterator begin() const { return {this, NextFrom(0)}; }
  Iterator end() const { return {this, kMax}; }

 private:
  // The smallest number from `cpu` on; kMax if there is none.
  int NextFrom(int cpu) const;
  void Trim();

  // Without zeros at the end, so that equal sets have equal words.
  std::vector<uint64_t> words_;
};

}  // namespace pinion

#endif  // PINION_BASE_CPU_SET_H_
