#include "runtime/cgroup/partition.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"

namespace pinion::cgroup {
namespace {

constexpr char kExclusive[] = "cpuset.cpus.exclusive";
constexpr char kPartition[] = "cpuset.cpus.partition";
// Of cgroups below each other; the kernel's own limit is the user's.
constexpr size_t kMostLevels = 64;

bool HasExclusive(int dir) { return faccessat(dir, kExclusive, F_OK, 0) == 0; }

// `dir` and everything above but the root, which has no such file.
absl::StatusOr<std::vector<os::UniqueFd>> UpFrom(int dir) {
  std::vector<os::UniqueFd> chain;
  PINION_ASSIGN_OR_RETURN(os::UniqueFd next,
                          os::OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  while (HasExclusive(next.get()) && chain.size() < kMostLevels) {
    PINION_ASSIGN_OR_RETURN(
        os::UniqueFd above,
        os::OpenAt(next.get(), "..", O_RDONLY | O_DIRECTORY));
    chain.push_back(std::exchange(next, std::move(above)));
  }
  return chain;
}

absl::StatusOr<CpuSet> ReadExclusive(int dir) {
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(dir, kExclusive));
  return CpuSet::Parse(text);
}

absl::Status WriteExclusive(int dir, const CpuSet& now, const CpuSet& wanted) {
  if (now == wanted) return absl::OkStatus();
  return os::WriteKernelFile(dir, kExclusive,
                             wanted.empty() ? "\n" : wanted.ToString());
}

absl::Status WriteAll(int leaf, const CpuSet& cpus, const std::string& kind) {
  PINION_ASSIGN_OR_RETURN(std::vector<os::UniqueFd> chain, UpFrom(leaf));
  // From above: nobody has more than its parent.
  std::reverse(chain.begin(), chain.end());
  for (size_t i = 0; i < chain.size(); ++i) {
    const int dir = chain[i].get();
    PINION_ASSIGN_OR_RETURN(const CpuSet now, ReadExclusive(dir));
    const bool is_leaf = i + 1 == chain.size();
    PINION_RETURN_IF_ERROR(
        WriteExclusive(dir, now, is_leaf ? cpus : now | cpus));
  }
  PINION_RETURN_IF_ERROR(os::WriteKernelFile(leaf, kPartition, kind));
  PINION_ASSIGN_OR_RETURN(const std::string state, PartitionOf(leaf));
  if (state == kind) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the CPUs ", cpus.ToString(), " are not to be had as a partition: ",
      kPartition, " is \"", state, "\""));
}

}  // namespace

absl::Status CheckPartitions(int pod_dir) {
  if (HasExclusive(pod_dir)) return absl::OkStatus();
  if (faccessat(pod_dir, kPartition, F_OK, 0) != 0) {
    return absl::FailedPreconditionError(
        "a partition of CPUs needs the cpuset controller in cgroup v2");
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "a partition of CPUs needs Linux 6.7 or later: this kernel has no ",
      kExclusive, ", and makes none below a cgroup that is none (\"Parent is ",
      "not a partition root\")"));
}

absl::StatusOr<std::string> PartitionOf(int leaf) {
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(leaf, kPartition));
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::Status MakePartition(int leaf, const CpuSet& cpus,
                           const std::string& kind) {
  PINION_RETURN_IF_ERROR(CheckPartitions(leaf));
  PINION_ASSIGN_OR_RETURN(const std::string state, PartitionOf(leaf));
  PINION_ASSIGN_OR_RETURN(const CpuSet exclusive, ReadExclusive(leaf));
  if (state == kind && exclusive == cpus) return absl::OkStatus();
  const absl::Status made = WriteAll(leaf, cpus, kind);
  if (!made.ok()) (void)EndPartition(leaf, cpus);  // the first error counts
  return made;
}

absl::Status EndPartition(int leaf, const CpuSet& cpus) {
  if (!HasExclusive(leaf)) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(os::WriteKernelFile(leaf, kPartition, "member"));
  return GiveBackExclusive(leaf, cpus);
}

absl::Status GiveBackExclusive(int dir, const CpuSet& cpus) {
  PINION_ASSIGN_OR_RETURN(const std::vector<os::UniqueFd> chain, UpFrom(dir));
  for (const os::UniqueFd& level : chain) {
    PINION_ASSIGN_OR_RETURN(const CpuSet now, ReadExclusive(level.get()));
    PINION_RETURN_IF_ERROR(WriteExclusive(level.get(), now, now - cpus));
  }
  return absl::OkStatus();
}

}  // namespace pinion::cgroup
