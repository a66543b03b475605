#include "tests/support/footprint.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "tests/support/invariant_processes.h"

namespace pinion::testing_support {
namespace {

namespace fs = std::filesystem;

size_t Entries(const std::string& directory) {
  size_t count = 0;
  std::error_code gone;
  for (fs::directory_iterator entry(directory, gone), end; entry != end;
       entry.increment(gone)) {
    ++count;
  }
  return count;
}

// "Rss:   123 kB" of proc(5)'s smaps_rollup.
long Kib(const std::string& proc, const std::string& name) {
  std::ifstream file(proc + "/smaps_rollup");
  for (std::string word; file >> word;) {
    long kib = 0;
    if (word == name && file >> kib) return kib;
  }
  return 0;
}

}  // namespace

Footprint MeasureFootprint(pid_t pid) {
  const std::string proc = absl::StrCat("/proc/", pid);
  Footprint footprint;
  footprint.descriptors = Entries(proc + "/fd");
  footprint.threads = Entries(proc + "/task");
  for (const auto& [child, process] : AllProcesses()) {
    if (process.parent == pid) ++footprint.children;
  }
  footprint.rss_kib = Kib(proc, "Rss:");
  footprint.pss_kib = Kib(proc, "Pss:");
  return footprint;
}

std::string Compare(const Footprint& before, const Footprint& after) {
  return absl::StrCat(
      "fds ", before.descriptors, " → ", after.descriptors, ", threads ",
      before.threads, " → ", after.threads, ", children ", before.children,
      " → ", after.children, ", RSS ", before.rss_kib, " → ", after.rss_kib,
      " KiB, PSS ", before.pss_kib, " → ", after.pss_kib, " KiB");
}

}  // namespace pinion::testing_support
