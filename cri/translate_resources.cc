#include "cri/translate_resources.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include "base/cpu_set.h"
#include "base/status_macros.h"

namespace pinion::cri {
namespace {

constexpr int64_t kMaxShares = 262144;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
constexpr int kMaxHugepageSizes = 64;
constexpr int kMaxUnified = 256;

absl::Status CheckCpu(const Field& field,
                      const api::LinuxContainerResources& in) {
  if (in.cpu_period() != 0) {
    PINION_RETURN_IF_ERROR(
        CheckRange(field.Sub("cpu_period"), in.cpu_period(), 1000, 1000000));
  }
  if (in.cpu_quota() != 0 && in.cpu_quota() != -1 && in.cpu_quota() < 1000) {
    return Refuse(field.Sub("cpu_quota"), in.cpu_quota(),
                  "must be 0 (not set), -1 (no limit) or at least 1000");
  }
  if (in.cpu_shares() != 0) {
    PINION_RETURN_IF_ERROR(
        CheckRange(field.Sub("cpu_shares"), in.cpu_shares(), 2, kNoLimit));
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(const Field& field,
                         const api::LinuxContainerResources& in) {
  const int64_t limit = in.memory_limit_in_bytes();
  const int64_t swap = in.memory_swap_limit_in_bytes();
  PINION_RETURN_IF_ERROR(
      CheckRange(field.Sub("memory_limit_in_bytes"), limit, 0, kNoLimit));
  if (swap < -1) {
    return Refuse(field.Sub("memory_swap_limit_in_bytes"), swap,
                  "must be 0 (not set), -1 (no limit) or a size");
  }
  if (swap > 0 && limit == 0) {
    return Refuse(field.Sub("memory_swap_limit_in_bytes"), swap,
                  "is memory and swap together, so memory_limit_in_bytes must "
                  "be set too");
  }
  if (swap > 0 && swap < limit) {
    return Refuse(field.Sub("memory_swap_limit_in_bytes"), swap,
                  "is memory and swap together, so it must not be less than "
                  "memory_limit_in_bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckCpuSet(const Field& field, const std::string& list) {
  // 8192 numbers of four digits and their commas.
  PINION_RETURN_IF_ERROR(CheckLine(field, list, size_t{40} << 10));
  if (!CpuSet::Parse(list).ok()) {
    return Refuse(field, list, "must be a list like 0-3,8");
  }
  return absl::OkStatus();
}

// "2MB", "1GB", "64KB": a power of two and its unit, as the kubelet writes
// the names of hugetlb's files.
bool IsHugepageSize(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || text.front() == '0' ||
      (number & (number - 1)) != 0) {
    return false;
  }
  const std::string_view unit(
      end, text.size() - static_cast<size_t>(end - text.data()));
  return unit == "KB" || unit == "MB" || unit == "GB";
}

absl::Status AddHugepages(const Field& field,
                          const api::LinuxContainerResources& in,
                          state::Resources& out) {
  const Field list = field.Sub("hugepage_limits");
  if (in.hugepage_limits_size() > kMaxHugepageSizes) {
    return Refuse(list, in.hugepage_limits_size(), "are too many sizes");
  }
  std::set<std::string_view> seen;
  for (int i = 0; i < in.hugepage_limits_size(); ++i) {
    const api::HugepageLimit& limit = in.hugepage_limits(i);
    const Field element = list.At(i);
    const Field size = element.Sub("page_size");
    if (limit.page_size().empty() || !IsHugepageSize(limit.page_size())) {
      return Refuse(size, limit.page_size(),
                    "must be a power of two with KB, MB or GB");
    }
    if (!seen.insert(limit.page_size()).second) {
      return Refuse(size, limit.page_size(), "comes twice");
    }
    state::Resources::HugepageLimit* added = out.add_hugepage_limits();
    added->set_page_size(limit.page_size());
    added->set_limit_bytes(limit.limit());
  }
  return absl::OkStatus();
}

// "memory.high", "io.max", "memory.oom.group".
bool IsControllerFile(std::string_view name) {
  const bool charset = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
  return charset && name.size() <= 128 && !name.empty() &&
         name.front() != '.' && name.back() != '.' &&
         name.find('.') != std::string_view::npos &&
         name.find("..") == std::string_view::npos;
}

absl::Status AddUnified(const Field& field,
                        const api::LinuxContainerResources& in,
                        state::Resources& out) {
  const Field map = field.Sub("unified");
  if (in.unified_size() > kMaxUnified) {
    return Refuse(map, in.unified_size(), "are too many files");
  }
  for (const auto& [name, value] : in.unified()) {
    if (!IsControllerFile(name)) {
      return Refuse(map, name,
                    "must be a file of a cgroup controller, like "
                    "memory.high");
    }
    if (name.rfind("cgroup.", 0) == 0) {
      return Refuse(map, name, "must not be a file of the cgroup core");
    }
    PINION_RETURN_IF_ERROR(CheckText(map.Sub(name), value, 4096));
    (*out.mutable_unified())[name] = value;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<state::Resources> ToResources(
    const Field& field, const api::LinuxContainerResources& in) {
  PINION_RETURN_IF_ERROR(CheckCpu(field, in));
  PINION_RETURN_IF_ERROR(CheckMemory(field, in));
  PINION_RETURN_IF_ERROR(
      CheckRange(field.Sub("oom_score_adj"), in.oom_score_adj(), -1000, 1000));
  PINION_RETURN_IF_ERROR(
      CheckCpuSet(field.Sub("cpuset_cpus"), in.cpuset_cpus()));
  PINION_RETURN_IF_ERROR(
      CheckCpuSet(field.Sub("cpuset_mems"), in.cpuset_mems()));

  state::Resources out;
  out.set_cpu_period_us(in.cpu_period());
  out.set_cpu_quota_us(in.cpu_quota());
  out.set_cpu_shares(std::min(in.cpu_shares(), kMaxShares));
  out.set_memory_limit_bytes(in.memory_limit_in_bytes());
  out.set_memory_swap_limit_bytes(in.memory_swap_limit_in_bytes());
  out.set_oom_score_adj(in.oom_score_adj());
  out.set_cpuset_cpus(in.cpuset_cpus());
  out.set_cpuset_mems(in.cpuset_mems());
  PINION_RETURN_IF_ERROR(AddHugepages(field, in, out));
  PINION_RETURN_IF_ERROR(AddUnified(field, in, out));
  return out;
}

absl::StatusOr<state::Resources> ToResourceChanges(
    const Field& field, const api::LinuxContainerResources& in) {
  const int64_t swap = in.memory_swap_limit_in_bytes();
  if (swap <= 0 || in.memory_limit_in_bytes() != 0) {
    return ToResources(field, in);
  }
  api::LinuxContainerResources rest = in;
  rest.clear_memory_swap_limit_in_bytes();
  PINION_ASSIGN_OR_RETURN(state::Resources out, ToResources(field, rest));
  out.set_memory_swap_limit_bytes(swap);
  return out;
}

void FromResources(const state::Resources& in,
                   api::LinuxContainerResources* out) {
  out->set_cpu_period(in.cpu_period_us());
  out->set_cpu_quota(in.cpu_quota_us());
  out->set_cpu_shares(in.cpu_shares());
  out->set_memory_limit_in_bytes(in.memory_limit_bytes());
  out->set_memory_swap_limit_in_bytes(in.memory_swap_limit_bytes());
  out->set_oom_score_adj(in.oom_score_adj());
  out->set_cpuset_cpus(in.cpuset_cpus());
  out->set_cpuset_mems(in.cpuset_mems());
  for (const state::Resources::HugepageLimit& limit : in.hugepage_limits()) {
    api::HugepageLimit* added = out->add_hugepage_limits();
    added->set_page_size(limit.page_size());
    added->set_limit(limit.limit_bytes());
  }
  *out->mutable_unified() = in.unified();
}

}  // namespace pinion::cri
