#include "metrics/process_metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "os/file.h"

namespace pinion::metrics {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) * 1e-6;
}

// Field `number` of /proc/self/stat as proc(5) counts them, from 3 on: those
// after the command's closing parenthesis.
double StatField(const std::string& stat, size_t number) {
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(stat.rfind(')') + 2), ' ');
  double value = 0;
  if (number - 3 < fields.size()) {
    (void)absl::SimpleAtod(fields[number - 3], &value);
  }
  return value;
}

// Seconds since the epoch at which the machine booted.
double BootTime() {
  const auto text = os::ReadFileAt(AT_FDCWD, "/proc/stat");
  if (!text.ok()) return 0;
  const size_t at = text->find("\nbtime ");
  double value = 0;
  if (at != std::string::npos) {
    (void)absl::SimpleAtod(
        text->substr(at + 7, text->find('\n', at + 1) - at - 7), &value);
  }
  return value;
}

class ProcessMetrics {
 public:
  explicit ProcessMetrics(Registry& registry)
      : cpu_(registry.AddCounter(
            "process_cpu_seconds_total",
            "User and system CPU time that the daemon has used, in seconds.")),
        resident_(registry.AddGauge("process_resident_memory_bytes",
                                    "Resident memory of the daemon.")),
        virtual_(registry.AddGauge("process_virtual_memory_bytes",
                                   "Virtual memory of the daemon.")),
        open_fds_(registry.AddGauge("process_open_fds",
                                    "Open file descriptors of the daemon.")),
        max_fds_(registry.AddGauge(
            "process_max_fds",
            "File descriptors that the daemon may have open at most.")),
        start_time_(registry.AddGauge(
            "process_start_time_seconds",
            "When the daemon started, in seconds since the epoch.")),
        threads_(
            registry.AddGauge("process_threads", "Threads of the daemon.")) {}

  void Refresh() {
    rusage usage = {};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
      const double total = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
      cpu_.Increment(total - cpu_seconds_);
      cpu_seconds_ = total;
    }
    rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
      max_fds_.Set(static_cast<double>(limit.rlim_cur));
    }
    const auto fds = os::ListDirAt(AT_FDCWD, "/proc/self/fd");
    // One of them reads the directory.
    if (fds.ok()) open_fds_.Set(static_cast<double>(fds->size()) - 1);
    const auto stat = os::ReadFileAt(AT_FDCWD, "/proc/self/stat");
    if (!stat.ok()) return;
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    threads_.Set(StatField(*stat, 20));
    start_time_.Set(BootTime() + StatField(*stat, 22) / ticks);
    virtual_.Set(StatField(*stat, 23));
    resident_.Set(StatField(*stat, 24) * page);
  }

 private:
  Counter& cpu_;
  Gauge& resident_;
  Gauge& virtual_;
  Gauge& open_fds_;
  Gauge& max_fds_;
  Gauge& start_time_;
  Gauge& threads_;
  // Only touched by Refresh, which Registry::Render serialises.
  double cpu_seconds_ = 0;
};

}  // namespace

void AddProcessMetrics(Registry& registry) {
  auto metrics = std::make_shared<ProcessMetrics>(registry);
  registry.OnScrape([metrics] { metrics->Refresh(); });
}

void AddBuildInfo(Registry& registry, const std::string& version,
                  const std::string& commit) {
  registry
      .AddGauge("pinion_build_info",
                "Constant 1; the labels say which build this is.",
                {{"version", version}, {"commit", commit}})
      .Set(1);
}

}  // namespace pinion::metrics
