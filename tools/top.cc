#include "tools/top.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace pinion::tools {
namespace {

using admin::v1::CgroupUsage;

constexpr double kNanosPerSecond = 1e9;

struct SortName {
  TopSort sort;
  const char* name;
};
constexpr SortName kSorts[] = {{TopSort::kCpu, "cpu"},
                               {TopSort::kMemory, "memory"},
                               {TopSort::kThrottled, "throttled"},
                               {TopSort::kPressure, "pressure"},
                               {TopSort::kPids, "pids"},
                               {TopSort::kName, "name"}};

PressureShare ShareOf(const admin::v1::Pressure& pressure) {
  PressureShare share;
  if (pressure.has_some()) share.some = pressure.some().avg10();
  if (pressure.has_full()) share.full = pressure.full().avg10();
  return share;
}

TopRow LevelsOf(const CgroupUsage& usage) {
  TopRow row;
  if (usage.has_cpu_quota_us() && usage.cpu_period_us() > 0) {
    row.cpu_limit_percent = 100.0 * static_cast<double>(usage.cpu_quota_us()) /
                            static_cast<double>(usage.cpu_period_us());
  }
  if (usage.has_memory_bytes()) row.memory_bytes = usage.memory_bytes();
  if (usage.has_memory_high_bytes()) {
    row.memory_high_bytes = usage.memory_high_bytes();
  }
  if (usage.has_memory_max_bytes()) {
    row.memory_max_bytes = usage.memory_max_bytes();
  }
  if (usage.has_swap_bytes()) row.swap_bytes = usage.swap_bytes();
  if (usage.has_oom_kills()) row.oom_kills = usage.oom_kills();
  row.pids = usage.has_pids() ? usage.pids() : usage.processes();
  if (usage.has_pids_max()) row.pids_max = usage.pids_max();
  row.cpu_pressure = ShareOf(usage.cpu_pressure());
  row.memory_pressure = ShareOf(usage.memory_pressure());
  row.io_pressure = ShareOf(usage.io_pressure());
  return row;
}

// `before` is null for what was not there before.
void AddRates(const CgroupUsage* before, const CgroupUsage& after,
              double seconds, TopRow& row) {
  if (before == nullptr || seconds <= 0) return;
  if (before->has_cpu_usage_us() && after.has_cpu_usage_us() &&
      after.cpu_usage_us() >= before->cpu_usage_us()) {
    row.cpu_percent =
        static_cast<double>(after.cpu_usage_us() - before->cpu_usage_us()) /
        (seconds * 1e4);
  }
  // A limit that is gone may leave its counters: they stand still.
  if (after.cpu_periods() > before->cpu_periods() &&
      after.cpu_throttled_periods() >= before->cpu_throttled_periods()) {
    row.throttled_percent =
        100.0 *
        static_cast<double>(after.cpu_throttled_periods() -
                            before->cpu_throttled_periods()) /
        static_cast<double>(after.cpu_periods() - before->cpu_periods());
  }
}

template <typename T>
void TakeSum(const std::vector<TopRow>& rows, std::optional<T> TopRow::*limit,
             std::optional<T>& out) {
  if (out || rows.empty()) return;
  T sum = 0;
  for (const TopRow& row : rows) {
    if (!(row.*limit)) return;
    sum += *(row.*limit);
  }
  out = sum;
}

void TakeFromContainers(TopRow& pod) {
  TakeSum(pod.containers, &TopRow::cpu_limit_percent, pod.cpu_limit_percent);
  TakeSum(pod.containers, &TopRow::memory_high_bytes, pod.memory_high_bytes);
  TakeSum(pod.containers, &TopRow::memory_max_bytes, pod.memory_max_bytes);
  if (pod.throttled_percent) return;
  for (const TopRow& row : pod.containers) {
    pod.throttled_percent =
        std::max(pod.throttled_percent, row.throttled_percent);
  }
}

TopRow ComparePod(const admin::v1::PodUsage* before,
                  const admin::v1::PodUsage& after) {
  const double seconds =
      before == nullptr
          ? 0
          : static_cast<double>(after.monotonic_ns() - before->monotonic_ns()) /
                kNanosPerSecond;
  TopRow pod = LevelsOf(after.usage());
  pod.id = after.id();
  pod.namespace_name = after.namespace_();
  pod.name = after.name();
  AddRates(before == nullptr ? nullptr : &before->usage(), after.usage(),
           seconds, pod);
  for (const auto& container : after.containers()) {
    const CgroupUsage* old = nullptr;
    for (int i = 0; before != nullptr && i < before->containers_size(); ++i) {
      if (before->containers(i).id() == container.id()) {
        old = &before->containers(i).usage();
      }
    }
    TopRow row = LevelsOf(container.usage());
    row.id = container.id();
    row.name = container.name();
    AddRates(old, container.usage(), seconds, row);
    pod.containers.push_back(std::move(row));
  }
  TakeFromContainers(pod);
  return pod;
}

double WorstPressure(const TopRow& row) {
  return std::max({row.cpu_pressure.some.value_or(-1),
                   row.memory_pressure.some.value_or(-1),
                   row.io_pressure.some.value_or(-1)});
}

double SortKey(TopSort sort, const TopRow& row) {
  const auto count = [](const std::optional<uint64_t>& value) {
    return value ? static_cast<double>(*value) : -1.0;
  };
  switch (sort) {
    case TopSort::kCpu:
      return row.cpu_percent.value_or(-1);
    case TopSort::kMemory:
      return count(row.memory_bytes);
    case TopSort::kThrottled:
      return row.throttled_percent.value_or(-1);
    case TopSort::kPressure:
      return WorstPressure(row);
    case TopSort::kPids:
      return count(row.pids);
    case TopSort::kName:
      break;
  }
  return 0;
}

}  // namespace

TopSample CompareUsage(const admin::v1::PodUsageResponse& before,
                       const admin::v1::PodUsageResponse& after) {
  std::map<std::string, const admin::v1::PodUsage*> known;
  for (const auto& pod : before.pods()) known[pod.id()] = &pod;
  TopSample sample;
  for (const auto& pod : after.pods()) {
    const auto found = known.find(pod.id());
    const admin::v1::PodUsage* const old =
        found == known.end() ? nullptr : found->second;
    sample.pods.push_back(ComparePod(old, pod));
    if (old == nullptr) continue;
    sample.seconds =
        std::max(sample.seconds,
                 static_cast<double>(pod.monotonic_ns() - old->monotonic_ns()) /
                     kNanosPerSecond);
  }
  return sample;
}

absl::StatusOr<TopSort> ParseTopSort(std::string_view text) {
  std::string names;
  for (const SortName& one : kSorts) {
    if (text == one.name) return one.sort;
    absl::StrAppend(&names, names.empty() ? "" : ", ", one.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--sort \"", std::string(text), "\": use one of ", names));
}

const char* TopSortName(TopSort sort) {
  for (const SortName& one : kSorts) {
    if (one.sort == sort) return one.name;
  }
  return "?";
}

TopSort NextTopSort(TopSort sort) {
  for (size_t i = 0; i < std::size(kSorts); ++i) {
    if (kSorts[i].sort == sort) return kSorts[(i + 1) % std::size(kSorts)].sort;
  }
  return TopSort::kCpu;
}

void SortTop(TopSort sort, std::vector<TopRow>& rows) {
  std::sort(rows.begin(), rows.end(), [sort](const auto& a, const auto& b) {
    const double left = SortKey(sort, a);
    const double right = SortKey(sort, b);
    if (left != right) return left > right;
    return std::tie(a.namespace_name, a.name, a.id) <
           std::tie(b.namespace_name, b.name, b.id);
  });
  for (TopRow& row : rows) SortTop(sort, row.containers);
}

}  // namespace pinion::tools
