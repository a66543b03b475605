#include "runtime/cpu/allocator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/cpu/take.h"

namespace pinion::cpu {
namespace {

// Of the CPUs of whole cores: `count`, core by core, and the others.
Grant Split(const Topology& topology, const CpuSet& taken, size_t count) {
  Grant grant;
  for (const auto& [core, cpus] : topology.cores()) {
    for (const int cpu : cpus& taken) {
      (grant.cpus.size() < count ? grant.cpus : grant.idle).Add(cpu);
    }
  }
  grant.nodes = topology.NodesOf(grant.cpus);
  return grant;
}

// All CPUs of the cores that these are on.
CpuSet CoresOf(const Topology& topology, const CpuSet& cpus) {
  CpuSet cores;
  for (const int cpu : cpus)
    cores |= topology.cores().at(topology.At(cpu).core);
  return cores;
}

absl::Status CheckRequest(const Topology& topology, const Request& request) {
  if (request.count == 0) {
    return absl::InvalidArgumentError("no CPU is asked for");
  }
  if (request.node && topology.nodes().count(*request.node) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no NUMA node ", *request.node));
  }
  return absl::OkStatus();
}

}  // namespace

Allocator::Allocator(Topology topology, CpuSet reserved)
    : topology_(std::move(topology)), reserved_(std::move(reserved)) {}

absl::StatusOr<Allocator> Allocator::Create(Topology topology,
                                            const CpuSet& reserved) {
  if (reserved.empty()) {
    return absl::InvalidArgumentError(
        "no CPU is reserved: the node itself, and containers without CPUs of "
        "their own, need at least one");
  }
  CpuSet online = reserved & topology.all();
  if (online.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of the reserved CPUs ", reserved.ToString(),
                     " is online: ", topology.all().ToString()));
  }
  return Allocator(std::move(topology), std::move(online));
}

CpuSet Allocator::Shared() const {
  CpuSet shared = topology_.all();
  for (const auto& [owner, grant] : grants_) {
    shared -= grant.cpus;
    shared -= grant.idle;
  }
  for (const auto& [owner, grant] : before_) {
    shared -= grant.cpus;
    shared -= grant.idle;
  }
  return shared;
}

CpuSet Allocator::Free() const { return Shared() - reserved_; }

CpuSet Allocator::FreeFor(const Request& request) const {
  return request.within ? Free() & *request.within : Free();
}

std::optional<CpuSet> Allocator::Take(const Request& request,
                                      const CpuSet& free) const {
  return request.own_cores ? TakeCores(topology_, free, request.count)
                           : TakeCpus(topology_, free, request.count);
}

// The node with the least room that is enough, so that large requests find
// room later.
std::optional<CpuSet> Allocator::TakeOnOneNode(const Request& request,
                                               const CpuSet& free) const {
  std::vector<std::pair<size_t, CpuSet>> nodes;
  for (const auto& [node, cpus] : topology_.nodes()) {
    if (request.node && *request.node != node) continue;
    const CpuSet in_node = cpus & free;
    nodes.emplace_back(in_node.size(), in_node);
  }
  std::stable_sort(
      nodes.begin(), nodes.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [size, in_node] : nodes) {
    if (auto taken = Take(request, in_node)) return taken;
  }
  return std::nullopt;
}

std::optional<CpuSet> Allocator::TakeByNode(const Request& request,
                                            const CpuSet& free) const {
  std::optional<CpuSet> taken;
  if (request.node || request.numa != NumaPolicy::kNone) {
    taken = TakeOnOneNode(request, free);
  }
  if (!taken && !request.node && request.numa != NumaPolicy::kSingleNode) {
    taken = Take(request, free);
  }
  return taken;
}

absl::Status Allocator::DoesNotFit(const Request& request, bool more) const {
  const CpuSet free = FreeFor(request);
  std::string text =
      absl::StrCat(request.count, more ? " more" : "", " exclusive CPUs",
                   request.own_cores ? " on own cores" : "");
  if (request.node) {
    absl::StrAppend(&text, " on NUMA node ", *request.node);
  } else if (request.numa == NumaPolicy::kSingleNode) {
    absl::StrAppend(&text, " on one NUMA node");
  }
  absl::StrAppend(&text, " do not fit: ", free.size(), " are free");
  if (request.within && free != Free()) {
    absl::StrAppend(&text, " of those that the pod's cgroup can give (",
                    request.within->ToString(), ")");
  }
  for (const auto& [node, cpus] : topology_.nodes()) {
    const CpuSet in_node = cpus & free;
    absl::StrAppend(&text, in_node.empty() ? "" : "; node ",
                    in_node.empty() ? "" : absl::StrCat(node, ": "),
                    in_node.ToString());
  }
  return absl::ResourceExhaustedError(text);
}

absl::StatusOr<Grant> Allocator::Allocate(const std::string& owner,
                                          const Request& request) {
  if (const auto found = grants_.find(owner); found != grants_.end()) {
    return found->second;
  }
  PINION_RETURN_IF_ERROR(CheckRequest(topology_, request));
  const std::optional<CpuSet> taken = TakeByNode(request, FreeFor(request));
  if (!taken) return DoesNotFit(request);
  Grant grant = Split(topology_, *taken, request.count);
  grant.partition = request.partition;
  grant.names_memory = request.names_memory;
  grants_[owner] = grant;
  return grant;
}

// It stays on the node where most of it is, and with it most of its memory.
Grant Allocator::Shrink(const Grant& grant, const Request& request) const {
  CpuSet most;
  for (const auto& [node, cpus] : topology_.nodes()) {
    const CpuSet there = cpus & grant.cpus;
    if (there.size() > most.size()) most = there;
  }
  Grant smaller;
  smaller.partition = grant.partition;
  smaller.names_memory = grant.names_memory;
  smaller.cpus =
      *TakeCpus(topology_, most.size() >= request.count ? most : grant.cpus,
                request.count);
  if (request.own_cores) {
    const CpuSet had = grant.cpus | grant.idle;
    smaller.idle = (CoresOf(topology_, smaller.cpus) & had) - smaller.cpus;
  }
  return smaller;
}

// Its own idle siblings first, then free siblings of its cores, then others.
std::optional<Grant> Allocator::Grow(const Grant& grant,
                                     const Request& request) const {
  Grant larger = grant;
  Request more = request;
  const auto add = [&](const CpuSet& from) {
    for (const int cpu : from) {
      if (larger.cpus.size() == request.count) break;
      larger.cpus.Add(cpu);
      larger.idle.Remove(cpu);
    }
    more.count = request.count - larger.cpus.size();
    return more.count == 0;
  };
  if (add(grant.idle)) return larger;
  CpuSet free = FreeFor(request);
  if (request.node) free &= topology_.nodes().at(*request.node);
  // Whoever is on one node stays there, or, where that is no must, tries to.
  CpuSet near;
  for (const int node : topology_.NodesOf(grant.cpus)) {
    near |= topology_.nodes().at(node);
  }
  near &= free;
  if (!request.own_cores && add(CoresOf(topology_, grant.cpus) & near)) {
    return larger;
  }
  std::optional<CpuSet> taken;
  if (request.numa != NumaPolicy::kNone) taken = Take(more, near - larger.cpus);
  if (!taken && request.numa != NumaPolicy::kSingleNode) {
    taken = Take(more, free - larger.cpus);
  }
  if (!taken) return std::nullopt;
  const Grant added = Split(topology_, *taken, more.count);
  larger.cpus |= added.cpus;
  larger.idle |= added.idle;
  return larger;
}

absl::StatusOr<Grant> Allocator::Resize(const std::string& owner,
                                        const Request& request) {
  const auto found = grants_.find(owner);
  if (found == grants_.end()) {
    return absl::NotFoundError(absl::StrCat(owner, " has no exclusive CPUs"));
  }
  PINION_RETURN_IF_ERROR(CheckRequest(topology_, request));
  const Grant before = found->second;
  if (request.count < before.cpus.size()) {
    found->second = Shrink(before, request);
  } else if (request.count == before.cpus.size()) {
    if (request.names_memory == before.names_memory) return before;
  } else if (auto larger = Grow(before, request)) {
    found->second = *std::move(larger);
  } else {
    Request more = request;
    more.count -= before.cpus.size();
    return DoesNotFit(more, /*more=*/true);
  }
  found->second.nodes = topology_.NodesOf(found->second.cpus);
  found->second.names_memory = request.names_memory;
  before_.emplace(owner, before);
  return found->second;
}

void Allocator::UndoResize(const std::string& owner) {
  const auto before = before_.find(owner);
  if (before == before_.end()) return;
  grants_[owner] = before->second;
  before_.erase(before);
}

absl::Status Allocator::Restore(const std::string& owner, const Grant& grant) {
  const CpuSet free = Free();
  if (grants_.count(owner) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(owner, " has exclusive CPUs already"));
  }
  for (const CpuSet& cpus : {grant.cpus, grant.idle}) {
    if (free.ContainsAll(cpus)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the CPUs ", cpus.ToString(), " of ", owner,
                     " are not all free any more: ", free.ToString()));
  }
  if (grant.cpus.empty() || !(grant.cpus & grant.idle).empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the CPUs of ", owner, " contradict each other"));
  }
  grants_[owner] = grant;
  grants_[owner].nodes = topology_.NodesOf(grant.cpus);
  return absl::OkStatus();
}

}  // namespace pinion::cpu
