#include "runtime/plan/seccomp.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/plan/seccomp_default.h"
#include "runtime/plan/seccomp_json.h"
#include "runtime/plan/seccomp_profile.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20;
// More different ones than a node has; then the oldest knowledge goes.
constexpr size_t kMaxPrograms = 256;

std::string KernelRelease() {
  struct utsname name = {};
  uname(&name);
  return name.release;
}

// A device or a pipe would be read for ever.
absl::StatusOr<std::string> ReadProfile(const std::string& path) {
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd file,
      os::OpenAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat st = {};
  if (fstat(file.get(), &st) != 0) return os::ErrnoStatus("stat");
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError("not a regular file");
  }
  return os::ReadFd(file.get(), path, kMaxFile);
}

}  // namespace

absl::StatusOr<std::string> SeccompCompiler::RuntimeDefault(
    uint64_t capabilities) {
  PINION_ASSIGN_OR_RETURN_AS(SeccompFilter filter, Compile("", capabilities),
                             "seccomp profile RuntimeDefault");
  return std::move(filter.program);
}

absl::StatusOr<SeccompFilter> SeccompCompiler::Localhost(
    const std::string& path, uint64_t capabilities) {
  const std::string phrase = absl::StrCat("seccomp profile ", path);
  PINION_ASSIGN_OR_RETURN_AS(const std::string text, ReadProfile(path), phrase);
  if (text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(phrase, ": empty"));
  }
  PINION_ASSIGN_OR_RETURN_AS(SeccompFilter filter, Compile(text, capabilities),
                             phrase);
  return filter;
}

absl::StatusOr<SeccompFilter> SeccompCompiler::Compile(const std::string& text,
                                                       uint64_t capabilities) {
  const Key key = {text, capabilities};
  {
    absl::MutexLock lock(&mutex_);
    const auto known = programs_.find(key);
    if (known != programs_.end()) return known->second;
  }
  SeccompProfile profile;
  if (text.empty()) {
    profile = DefaultSeccompProfile(capabilities);
  } else {
    PINION_ASSIGN_OR_RETURN(
        profile, ParseSeccompJson(text, capabilities, KernelRelease()));
  }
  SeccompFilter filter;
  PINION_ASSIGN_OR_RETURN(filter.program, CompileSeccomp(profile));
  filter.flags = profile.flags;
  absl::MutexLock lock(&mutex_);
  if (programs_.size() >= kMaxPrograms) programs_.clear();
  programs_[key] = filter;
  return filter;
}

}  // namespace pinion::plan
