// Who owns which CPUs of this node exclusively. What nobody owns is the shared
// pool of everybody else; the reserved CPUs are never given away, so the pool
// is never empty.
//
// Pure: it neither reads nor writes the machine. Not thread-safe.

#ifndef PINION_RUNTIME_CPU_ALLOCATOR_H_
#define PINION_RUNTIME_CPU_ALLOCATOR_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cpu_set.h"
#include "runtime/cpu/topology.h"

namespace pinion::cpu {

enum class NumaPolicy {
  kNone,        // wherever the CPUs are
  kBestEffort,  // on one node if one has room
  kSingleNode,  // on one node, or not at all
};

// Whether the CPUs are a cpuset partition (runtime/cgroup/partition.h).
enum class Partition { kNone, kRoot, kIsolated };

struct Request {
  size_t count = 0;  // at least 1
  NumaPolicy numa = NumaPolicy::kBestEffort;
  std::optional<int> node = std::nullopt;  // this one, and no other
  // Nobody else runs on a sibling of these CPUs: whole cores are taken, and
  // those of their CPUs that are not asked for stay idle.
  bool own_cores = false;
  Partition partition = Partition::kNone;
  // The container says itself where its memory comes from.
  bool names_memory = false;
  // What the cgroup that it will be in can give; none: all.
  std::optional<CpuSet> within = std::nullopt;
};

struct Grant {
  CpuSet cpus;
  CpuSet idle;   // own_cores: taken with the others, used by nobody
  CpuSet nodes;  // that cpus are on: for cpuset.mems
  Partition partition = Partition::kNone;
  bool names_memory = false;

  bool operator==(const Grant&) const = default;
};

class Allocator {
 public:
  // Reserved CPUs that are not online are left out (see reserved()).
  // InvalidArgument: none is left, or none was asked for.
  static absl::StatusOr<Allocator> Create(Topology topology,
                                          const CpuSet& reserved);

  // The same owner and request again: the same grant. InvalidArgument: nothing
  // is asked for, or a node that there is not; ResourceExhausted: it does not
  // fit, with what is free and why that is no help. Nothing changes then.
  absl::StatusOr<Grant> Allocate(const std::string& owner,
                                 const Request& request);
  // Another number of CPUs for an owner: more are added to what it has, or some
  // of it are given back. Given back ones are nobody's until KeepResize;
  // UndoResize brings the old grant back. Errors are those of Allocate, and
  // NotFound: the owner has none. Nothing changes then.
  absl::StatusOr<Grant> Resize(const std::string& owner,
                               const Request& request);
  void KeepResize(const std::string& owner) { before_.erase(owner); }
  void UndoResize(const std::string& owner);
  // What an owner had before a restart. FailedPrecondition: it overlaps with
  // another's or with the reserved CPUs, or names a CPU that there is not.
  absl::Status Restore(const std::string& owner, const Grant& grant);
  // An unknown owner is success.
  void Release(const std::string& owner) {
    grants_.erase(owner);
    before_.erase(owner);
  }

  const Topology& topology() const { return topology_; }
  const CpuSet& reserved() const { return reserved_; }
  const std::map<std::string, Grant>& grants() const { return grants_; }
  // What may be given away now.
  CpuSet Free() const;
  // Everything that nobody owns, the reserved CPUs included; never empty.
  CpuSet Shared() const;

 private:
  Allocator(Topology topology, CpuSet reserved);

  CpuSet FreeFor(const Request& request) const;
  std::optional<CpuSet> Take(const Request& request, const CpuSet& free) const;
  std::optional<CpuSet> TakeOnOneNode(const Request& request,
                                      const CpuSet& free) const;
  // By the rules of request.numa and request.node.
  std::optional<CpuSet> TakeByNode(const Request& request,
                                   const CpuSet& free) const;
  Grant Shrink(const Grant& grant, const Request& request) const;
  std::optional<Grant> Grow(const Grant& grant, const Request& request) const;
  // `more`: than the owner has.
  absl::Status DoesNotFit(const Request& request, bool more = false) const;

  Topology topology_;
  CpuSet reserved_;
  std::map<std::string, Grant> grants_;
  // Of owners being resized.
  std::map<std::string, Grant> before_;
};

}  // namespace pinion::cpu

#endif  // PINION_RUNTIME_CPU_ALLOCATOR_H_
