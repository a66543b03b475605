// What pods and containers use. Takes no pod's lock: records are read as
// snapshots, and what ends meanwhile is shown as far as it was read.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/limit_table.h"
#include "runtime/device_name.h"
#include "runtime/operations.h"
#include "runtime/process_usage.h"
#include "runtime/writable_usage.h"

namespace pinion::runtime {
namespace {

constexpr uint64_t kNanosPerMicro = 1000;

absl::StatusOr<CgroupUsage> ReadCgroup(int dir, UsageDetail detail,
                                       UsageHistory& history) {
  CgroupUsage result;
  PINION_ASSIGN_OR_RETURN(result.usage, cgroup::ReadUsage(dir));
  // A reader that comes every second shall not shorten the kubelet's rates.
  if (result.usage.cpu.usage_us && detail != UsageDetail::kCgroups) {
    result.nano_cores =
        history.Rate(std::chrono::steady_clock::now(),
                     *result.usage.cpu.usage_us * kNanosPerMicro);
  }
  if (detail != UsageDetail::kStats) {
    PINION_ASSIGN_OR_RETURN(result.details, cgroup::ReadDetails(dir));
    for (const cgroup::IoDevice& device : result.details->io) {
      result.io_names.push_back(BlockDeviceName(device.major, device.minor));
    }
  }
  return result;
}

std::optional<WritableLayer> MeasureWritable(Context& context,
                                             Container& container) {
  const auto began = std::chrono::steady_clock::now();
  if (auto known = container.usage.Writable(began)) return known;
  const std::string below = container.id + "/upper";
  const auto dir =
      os::OpenAt(context.containers_dir.get(), below, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return std::nullopt;
  auto usage = MeasureWritableLayers(
      dir->get(), context.options.root + "/containers/" + below);
  if (!usage.ok()) return std::nullopt;
  // As the kubelet and the image file system's usage name it.
  usage->mountpoint = context.options.root + "/containers";
  const WritableLayer result{Clock::Real().WallNanos(), *std::move(usage)};
  container.usage.SetWritable(began, std::chrono::steady_clock::now(), result);
  return result;
}

std::optional<FilesystemSize> MeasureFilesystem(int dir) {
  struct statvfs size = {};
  struct stat st = {};
  if (fstatvfs(dir, &size) != 0 || fstat(dir, &st) != 0) return std::nullopt;
  return FilesystemSize{
      .device = BlockDeviceName(major(st.st_dev), minor(st.st_dev)),
      .bytes = size.f_blocks * size.f_frsize,
      .inodes = size.f_files,
      .inodes_free = size.f_ffree};
}

absl::StatusOr<ContainerUsage> Measure(Context& context, Container& container,
                                       UsageDetail detail) {
  ContainerUsage result;
  result.container = container.record.Get();
  result.read_at_ns = Clock::Real().WallNanos();
  const std::string pod_cgroup = container.pod->record.Get()->cgroup();
  result.cgroup_path = absl::StrCat(pod_cgroup, "/", container.id);
  if (detail != UsageDetail::kCgroups) {
    result.writable = MeasureWritable(context, container);
  }
  if (result.container->state() != state::CONTAINER_RUNNING) return result;
  const auto leaf =
      context.deps.container_cgroups->Open(pod_cgroup, container.id);
  if (absl::IsNotFound(leaf.status())) return result;
  PINION_RETURN_IF_ERROR(leaf.status());
  PINION_ASSIGN_OR_RETURN_AS(result.cgroup,
                             ReadCgroup(leaf->get(), detail, container.usage),
                             "container " + container.id);
  if (detail != UsageDetail::kMetrics) return result;
  result.processes =
      MeasureProcesses(result.cgroup->usage.processes, result.container->pid());
  result.filesystem = MeasureFilesystem(context.containers_dir.get());
  for (const cgroup::HugePages& pages : result.cgroup->details->huge_pages) {
    result.huge_page_peaks[pages.page_size] =
        container.usage.HugePagePeak(pages.page_size, pages.current);
  }
  return result;
}

}  // namespace

absl::StatusOr<ContainerUsage> MeasureContainer(Context& context,
                                                const std::string& id,
                                                UsageDetail detail) {
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  return Measure(context, *container, detail);
}

std::map<std::string, std::string> LimitsInForce(Context& context,
                                                 const std::string& id) {
  std::map<std::string, std::string> limits;
  const auto container = context.objects.FindContainer(id);
  if (!container.ok()) return limits;
  const auto leaf = context.deps.container_cgroups->Open(
      (*container)->pod->record.Get()->cgroup(), (*container)->id);
  if (!leaf.ok()) return limits;
  const auto files = os::ListDirAt(leaf->get(), ".");
  if (!files.ok()) return limits;
  for (const std::string& file : *files) {
    if (!cgroup::IsLimitFile(file)) continue;
    const auto text = os::ReadFileAt(leaf->get(), file);
    if (!text.ok()) continue;
    limits[file] = std::string(absl::StripAsciiWhitespace(*text));
  }
  return limits;
}

absl::StatusOr<PodUsage> MeasurePod(Context& context, const std::string& id,
                                    UsageDetail detail) {
  PINION_ASSIGN_OR_RETURN(const PodPtr pod, context.objects.FindPod(id));
  PodUsage result;
  result.pod = pod->record.Get();
  result.read_at_ns = Clock::Real().WallNanos();
  if (result.pod->state() == state::POD_READY) {
    const auto dir = context.deps.container_cgroups->Open(result.pod->cgroup());
    if (!dir.ok() && !absl::IsNotFound(dir.status())) return dir.status();
    if (dir.ok()) {
      PINION_ASSIGN_OR_RETURN_AS(result.cgroup,
                                 ReadCgroup(dir->get(), detail, pod->usage),
                                 "pod sandbox " + pod->id);
    }
    if (detail != UsageDetail::kCgroups &&
        result.pod->spec().namespaces().network() != state::NAMESPACE_NODE) {
      auto interfaces = network::ReadInterfaceCounters(
          result.pod->monitor_pid(), result.pod->monitor_start_ticks());
      if (interfaces.ok()) result.interfaces = *std::move(interfaces);
    }
  }
  for (const ContainerPtr& container : context.objects.ContainersOf(pod->id)) {
    PINION_ASSIGN_OR_RETURN(ContainerUsage usage,
                            Measure(context, *container, detail));
    result.containers.push_back(std::move(usage));
  }
  return result;
}

}  // namespace pinion::runtime
