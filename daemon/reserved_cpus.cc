#include "daemon/reserved_cpus.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::daemon {

absl::StatusOr<CpuSet> PresentCpus(const std::string& sysfs) {
  const std::string path = sysfs + "/cpu/present";
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(AT_FDCWD, path));
  PINION_ASSIGN_OR_RETURN_AS(CpuSet present, CpuSet::Parse(text), path);
  return present;
}

std::optional<ReservedProblem> FindReservedProblem(const CpuSet& reserved,
                                                   const CpuSet& present) {
  const std::string key =
      absl::StrCat("cpu.reserved = \"", reserved.ToString(), "\"");
  if (!present.ContainsAll(reserved)) {
    return ReservedProblem{
        absl::StrCat(key, " names CPUs that this machine does not have: ",
                     (reserved - present).ToString()),
        absl::StrCat("name some of ", present.ToString())};
  }
  if (!reserved.ContainsAll(present)) return std::nullopt;
  return ReservedProblem{
      absl::StrCat(key,
                   " are all the CPUs of this machine: none is left for "
                   "containers"),
      present.size() > 1
          ? "reserve fewer, or set cpu.policy = \"none\""
          : "with one CPU there is nothing to give away: set cpu.policy = "
            "\"none\""};
}

}  // namespace pinion::daemon
