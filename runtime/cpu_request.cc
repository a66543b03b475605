#include "runtime/cpu_request.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/cpu_set.h"
#include "base/status_macros.h"

namespace pinion::runtime {
namespace {

constexpr char kPrefix[] = "cpu.pinion.dev/";
// The kernel's, for requests with a quota only.
constexpr int64_t kDefaultPeriodUs = 100'000;
constexpr int64_t kSharesOfCpu = 1024;
// The kubelet's limit, which is cgroup v1's.
constexpr int64_t kMostShares = 262'144;

absl::Status Malformed(const std::string& key, const std::string& value,
                       const std::string& wanted) {
  return absl::InvalidArgumentError(absl::StrCat(
      "annotation ", key, " must be ", wanted, ", not \"", value, "\""));
}

absl::StatusOr<int> Number(const std::string& key, const std::string& value,
                           int least) {
  int number = 0;
  if (absl::SimpleAtoi(value, &number) && number >= least &&
      number < CpuSet::kMax && std::to_string(number) == value) {
    return number;
  }
  return Malformed(key, value, absl::StrCat("a number from ", least, " on"));
}

// `count` stays 0 without cpu.pinion.dev/cpus.
absl::Status ReadAnnotation(const std::string& key, const std::string& value,
                            cpu::Request& request) {
  const std::string name = key.substr(sizeof(kPrefix) - 1);
  if (name == "cpus") {
    PINION_ASSIGN_OR_RETURN(const int count, Number(key, value, 1));
    request.count = static_cast<size_t>(count);
    return absl::OkStatus();
  }
  if (name == "node") {
    PINION_ASSIGN_OR_RETURN(request.node, Number(key, value, 0));
    return absl::OkStatus();
  }
  if (name == "own-cores") {
    if (value != "true" && value != "false") {
      return Malformed(key, value, "\"true\" or \"false\"");
    }
    request.own_cores = value == "true";
    return absl::OkStatus();
  }
  if (name == "isolation") {
    if (value == "partition") {
      request.partition = cpu::Partition::kIsolated;
    } else if (value == "root") {
      request.partition = cpu::Partition::kRoot;
    } else if (value != "none") {
      return Malformed(key, value, "\"none\", \"root\" or \"partition\"");
    }
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("annotation ", key, " is unknown; there are ", kPrefix,
                   "cpus, node, own-cores and isolation"));
}

// 0: no whole CPUs.
size_t WholeCpus(const state::Resources& resources) {
  const int64_t period = resources.cpu_period_us() > 0
                             ? resources.cpu_period_us()
                             : kDefaultPeriodUs;
  const int64_t quota = resources.cpu_quota_us();
  if (quota < period || quota % period != 0) return 0;
  const int64_t count = quota / period;
  // A limit above the request is Burstable: its CPUs were not set aside by
  // the scheduler.
  if (resources.cpu_shares() != 0 &&
      resources.cpu_shares() != std::min(kSharesOfCpu * count, kMostShares)) {
    return 0;
  }
  return static_cast<size_t>(count);
}

// Pinning writes these along the way from the container to the root.
absl::Status RefusePartitionFiles(const state::Resources& resources) {
  for (const char* file : {"cpuset.cpus.exclusive", "cpuset.cpus.partition"}) {
    if (resources.unified().count(file) == 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "unified ", file, " is pinion's own with cpu.policy = \"static\": a ",
        "partition is asked for by the pod's annotation ", kPrefix,
        "isolation"));
  }
  return absl::OkStatus();
}

}  // namespace

bool NamesCpus(const state::Resources& resources) {
  const auto unified = resources.unified().find("cpuset.cpus");
  return !resources.cpuset_cpus().empty() ||
         (unified != resources.unified().end() && !unified->second.empty());
}

CpuSet NamedCpus(const state::Resources& resources) {
  const auto unified = resources.unified().find("cpuset.cpus");
  // The last word is written last.
  const bool is_last =
      unified != resources.unified().end() && !unified->second.empty();
  // Checked when it was asked for.
  return CpuSet::Parse(is_last ? unified->second : resources.cpuset_cpus())
      .value_or(CpuSet());
}

bool NamesMemory(const state::Resources& resources) {
  return !resources.cpuset_mems().empty() ||
         resources.unified().count("cpuset.mems") != 0;
}

absl::StatusOr<std::optional<cpu::Request>> CpuRequestOf(
    const state::PodSpec& pod, const state::Resources& resources) {
  cpu::Request request;
  for (const auto& [key, value] : pod.annotations()) {
    if (!absl::StartsWith(key, kPrefix)) continue;
    PINION_RETURN_IF_ERROR(ReadAnnotation(key, value, request));
  }
  PINION_RETURN_IF_ERROR(RefusePartitionFiles(resources));
  if (NamesCpus(resources)) return std::nullopt;
  if (const size_t whole = WholeCpus(resources); whole != 0) {
    request.count = whole;
  }
  if (request.count == 0) return std::nullopt;
  request.names_memory = NamesMemory(resources);
  return request;
}

absl::Status CheckStillAskedFor(
    const cpu::Grant& grant,
    const absl::StatusOr<std::optional<cpu::Request>>& now) {
  PINION_RETURN_IF_ERROR(now.status());
  if (!*now) {
    return absl::FailedPreconditionError("it asks for none any more");
  }
  if ((*now)->count == grant.cpus.size()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "it had ", grant.cpus.size(), " and asks for ", (*now)->count, " now"));
}

cpu::Partition PartitionAskedFor(const state::PodSpec& pod) {
  cpu::Request request;
  const std::string key = absl::StrCat(kPrefix, "isolation");
  const auto found = pod.annotations().find(key);
  if (found == pod.annotations().end() ||
      !ReadAnnotation(key, found->second, request).ok()) {
    return cpu::Partition::kNone;
  }
  return request.partition;
}

absl::Status RefuseCpuAnnotations(const state::PodSpec& pod) {
  for (const auto& [key, value] : pod.annotations()) {
    if (!absl::StartsWith(key, kPrefix)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("annotation ", key, " = \"", value,
                     "\" needs cpu.policy = \"static\" in pinion.toml"));
  }
  return absl::OkStatus();
}

}  // namespace pinion::runtime
