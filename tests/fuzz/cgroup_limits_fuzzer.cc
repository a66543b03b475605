// Container limits, a cgroup_parent and the files read back: words of the
// CRI's caller and of the kernel. Whatever is accepted must stay inside the
// container's own cgroup.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/cgroup/limit_files.h"
#include "runtime/cgroup/slice_name.h"
#include "state.pb.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::cgroup;  // NOLINT: a fuzzer's one function
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string actual = text.substr(text.size() / 2);

  pinion::state::Resources resources;
  if (!resources.ParseFromString(text)) {
    resources.Clear();
    resources.set_cpuset_cpus(text);
    (*resources.mutable_unified())[text.substr(0, text.size() / 2)] = actual;
    resources.add_hugepage_limits()->set_page_size(text);
  }
  const auto settings = ToSettings(resources);
  if (settings.ok()) {
    for (const Setting& setting : *settings) {
      Require(setting.file.find('/') == std::string::npos);
      Require(setting.file.rfind("cgroup.", 0) != 0);
      Require(setting.file.find('.') != std::string::npos);
      (void)Holds(setting.file, setting.value, actual);
      (void)UndoWrites(setting.file, actual, setting.value);
    }
  }
  for (const char* file : {"io.max", "cpu.max", "memory.high", "io.weight"}) {
    (void)Holds(file, text, actual);
    Require(!UndoWrites("memory.max", actual, text).empty());
    (void)UndoWrites(file, actual, text);
  }

  const auto slice = SliceOf(text);
  if (slice.ok()) {
    const std::string path = SlicePath(*slice);
    Require(path.find("/../") == std::string::npos);
    Require(path.find("//") == std::string::npos);
    Require(path.empty() || path.substr(path.rfind('/') + 1).size() >= 7);
  }
  for (const char c : SanitizeDescription(text)) {
    Require(c >= 0x20 && c < 0x7f);
  }
  return 0;
}
