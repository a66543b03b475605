// Pulls one image into a fresh store and says what it took:
//
//   pull_bench REFERENCE [ROOT [PARALLEL_LAYERS]]
//
// ROOT must be empty or absent; it stays, for a look at the layers.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "image/image_service.h"
#include "metrics/metrics.h"
#include "os/file.h"

namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What the process keeps, from /proc/self/statm (proc(5)).
long RssKib() {
  long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file != nullptr) std::fclose(file);
  return pages * 4;
}

long PeakKib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "pull_bench: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: pull_bench REFERENCE [ROOT [PARALLEL]]\n");
    return 2;
  }
  pinion::image::Options options;
  options.root = argc > 2 ? argv[2] : "/tmp/pinion-pull-bench";
  options.database = options.root + "/state.db";
  if (argc > 3) options.parallel_layers = std::atoi(argv[3]);
  const absl::Status made = pinion::os::MakeDirs(options.root, 0700);
  if (!made.ok()) return Fail(made);
  const auto metrics = pinion::metrics::Registry::Create();
  auto service = pinion::image::ImageService::Create(options, *metrics);
  if (!service.ok()) return Fail(service.status());
  const double cpu_before = CpuSeconds();
  const pinion::Stopwatch stopwatch;
  const auto id = (*service)->Pull(argv[1], {});
  const double wall = stopwatch.Seconds();
  if (!id.ok()) return Fail(id.status());
  const auto usage = (*service)->Usage();
  std::printf(
      "wall_s %.3f cpu_s %.3f peak_rss_kib %ld rss_kib %ld unpacked_bytes "
      "%llu\n",
      wall, CpuSeconds() - cpu_before, PeakKib(), RssKib(),
      static_cast<unsigned long long>(usage->used_bytes));
  return 0;
}
