// The statistics files of cgroups and /proc/PID/net/dev. A container can shape
// parts of them (names of cgroups and interfaces); nothing it writes may end
// the daemon or make numbers of what is none.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "network/interface_counters.h"
#include "runtime/cgroup/stat_files.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckStall(const std::optional<pinion::cgroup::Stall>& stall) {
  if (!stall) return;
  for (const double share : {stall->avg10, stall->avg60, stall->avg300}) {
    Require(std::isfinite(share) && share >= 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::cgroup;  // NOLINT: a fuzzer's one function
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto count = ParseCount(text);
  if (count && *count != kNoLimit) {
    Require(text.find_first_of("0123456789") != std::string_view::npos);
  }
  (void)ParseCpuStat(text);
  (void)ParseCpuMax(text);
  (void)ParseMemoryStat(text);
  (void)ParseMemoryEvents(text);
  for (const IoDevice& device : ParseIoStat(text)) {
    Require(device.read_bytes || device.written_bytes ||
            device.discarded_bytes || device.reads || device.writes);
  }
  const Pressure pressure = ParsePressure(text);
  CheckStall(pressure.some);
  CheckStall(pressure.full);
  for (const pid_t pid : ParsePids(text)) Require(pid > 0);
  Require(HugePageSizeOf(text).find('.') == std::string::npos);
  for (const auto& one : pinion::network::ParseNetDev(text)) {
    Require(!one.name.empty() && one.name != "lo");
  }
  return 0;
}
