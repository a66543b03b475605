// What pods and containers use: the kernel's numbers of one moment, for the
// statistics and the metrics. Values; what is absent was not to be had.

#ifndef PINION_RUNTIME_USAGE_H_
#define PINION_RUNTIME_USAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/image_service.h"
#include "network/interface_counters.h"
#include "runtime/cgroup/usage.h"
#include "runtime/snapshot.h"

namespace pinion::runtime {

enum class UsageDetail {
  kStats,    // what the CRI's statistics hold
  kMetrics,  // and what only the metrics need: more files, all of /proc/PID/fd
  kCgroups,  // the cgroups' files alone, with details and without a rate
};

// Of one cgroup, with everything below it.
struct CgroupUsage {
  cgroup::Usage usage;
  // Billionths of a CPU, since the measurement at least a second before;
  // absent with the first one.
  std::optional<uint64_t> nano_cores;
  std::optional<cgroup::Details> details;  // kMetrics, kCgroups
  // Of details->io, in its order: "/dev/vda", or "254:0".
  std::vector<std::string> io_names;
};

struct WritableLayer {
  int64_t read_at_ns = 0;  // it may be older than the rest
  image::FsUsage usage;
};

// The file system that holds the writable layers (statvfs(3)).
struct FilesystemSize {
  std::string device;  // "/dev/vda1", or "254:1" where it has no name
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
};

// Of all processes of a container, from /proc.
struct ProcessUsage {
  uint64_t descriptors = 0;
  uint64_t sockets = 0;
  // RLIMIT_NOFILE, soft, of the container's first process.
  std::optional<uint64_t> max_open_files;
};

struct ContainerUsage {
  ContainerSnapshot container;
  int64_t read_at_ns = 0;             // wall clock
  std::string cgroup_path;            // below the v2 root
  std::optional<CgroupUsage> cgroup;  // absent unless it runs
  std::optional<WritableLayer> writable;
  // With kMetrics, while it runs.
  std::optional<ProcessUsage> processes;
  std::optional<FilesystemSize> filesystem;
  // The most that pinion has read, by page size: the kernel keeps no peak.
  std::map<std::string, uint64_t> huge_page_peaks;
};

struct PodUsage {
  PodSnapshot pod;
  int64_t read_at_ns = 0;
  std::optional<CgroupUsage> cgroup;  // absent unless the pod is ready
  // Absent with the node's network.
  std::optional<std::vector<network::InterfaceCounters>> interfaces;
  std::vector<ContainerUsage> containers;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_USAGE_H_
