#include "runtime/cgroup/cpuset_files.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::cgroup {
namespace {

absl::StatusOr<CpuSet> ReadList(int dir, const std::string& path) {
  PINION_ASSIGN_OR_RETURN(const std::string text, os::ReadFileAt(dir, path));
  return CpuSet::Parse(text);
}

}  // namespace

bool IsCpuset(const std::string& file) {
  return file == kCpus || file == kMems;
}

absl::StatusOr<CpuSet> InForce(int dir, const std::string& file) {
  return ReadList(dir, file + ".effective");
}

absl::StatusOr<CpuSet> InForceAbove(int dir, const std::string& file) {
  return ReadList(dir, absl::StrCat("../", file, ".effective"));
}

}  // namespace pinion::cgroup
