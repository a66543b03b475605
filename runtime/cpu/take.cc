#include "runtime/cpu/take.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace pinion::cpu {
namespace {

using Groups = std::map<int, CpuSet>;

class Taker {
 public:
  Taker(const Topology& topology, const CpuSet& free, size_t count)
      : topology_(topology), free_(free), wanted_(count) {
    // The larger of both comes first; where they are the same, nodes.
    const bool nodes_first =
        topology.sockets().size() >= topology.nodes().size();
    larger_ = nodes_first ? &topology.nodes() : &topology.sockets();
    smaller_ = nodes_first ? &topology.sockets() : &topology.nodes();
  }

  bool done() const { return taken_.size() >= wanted_; }
  const CpuSet& taken() const { return taken_; }

  void TakeWholeGroups() {
    TakeWhole(Sorted(*larger_, free_));
    std::vector<const CpuSet*> smaller;
    for (const CpuSet* group : Sorted(*larger_, free_)) {
      for (const CpuSet* part : Sorted(*smaller_, *group & free_)) {
        smaller.push_back(part);
      }
    }
    TakeWhole(smaller);
  }

  // `round_up`: a last core of which not all is needed, too.
  void TakeWholeCores(bool round_up) {
    for (const CpuSet* core : SortedCores()) {
      const bool fits = core->size() <= wanted_ - taken_.size();
      if (free_.ContainsAll(*core) && (fits || round_up)) Take(*core);
      if (done()) return;
    }
  }

  void TakeRest() {
    for (const CpuSet* core : SortedCores()) {
      for (const int cpu : *core& free_) {
        if (done()) return;
        free_.Remove(cpu);
        taken_.Add(cpu);
      }
    }
  }

 private:
  // Those of `groups` with something in `within`; what has the least left
  // comes first, so that what is broken is used up before more is broken.
  static std::vector<const CpuSet*> Sorted(const Groups& groups,
                                           const CpuSet& within) {
    std::vector<std::pair<size_t, const CpuSet*>> found;
    for (const auto& [id, cpus] : groups) {
      const size_t left = cpus.SizeOfBoth(within);
      if (left > 0) found.emplace_back(left, &cpus);
    }
    std::stable_sort(
        found.begin(), found.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<const CpuSet*> sorted;
    sorted.reserve(found.size());
    for (const auto& [left, cpus] : found) sorted.push_back(cpus);
    return sorted;
  }

  std::vector<const CpuSet*> SortedCores() const {
    std::vector<const CpuSet*> cores;
    for (const CpuSet* group : Sorted(*larger_, free_)) {
      const CpuSet in_group = *group & free_;
      for (const CpuSet* part : Sorted(*smaller_, in_group)) {
        for (const CpuSet* core : Sorted(topology_.cores(), *part & in_group)) {
          cores.push_back(core);
        }
      }
    }
    return cores;
  }

  void TakeWhole(const std::vector<const CpuSet*>& groups) {
    for (const CpuSet* group : groups) {
      if (group->size() <= wanted_ - taken_.size() &&
          free_.ContainsAll(*group)) {
        Take(*group);
      }
    }
  }

  void Take(const CpuSet& cpus) {
    free_ -= cpus;
    taken_ |= cpus;
  }

  const Topology& topology_;
  CpuSet free_;
  const size_t wanted_;
  CpuSet taken_;
  const Groups* larger_;
  const Groups* smaller_;
};

}  // namespace

std::optional<CpuSet> TakeCpus(const Topology& topology, const CpuSet& free,
                               size_t count) {
  if (free.size() < count) return std::nullopt;
  Taker taker(topology, free, count);
  taker.TakeWholeGroups();
  taker.TakeWholeCores(/*round_up=*/false);
  taker.TakeRest();
  if (!taker.done()) return std::nullopt;
  return taker.taken();
}

std::optional<CpuSet> TakeCores(const Topology& topology, const CpuSet& free,
                                size_t count) {
  Taker taker(topology, free, count);
  taker.TakeWholeGroups();
  if (!taker.done()) taker.TakeWholeCores(/*round_up=*/false);
  if (!taker.done()) taker.TakeWholeCores(/*round_up=*/true);
  if (!taker.done()) return std::nullopt;
  return taker.taken();
}

}  // namespace pinion::cpu
