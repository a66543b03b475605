#include "runtime/plan/seccomp.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
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

}  // namespace

absl::StatusOr<std::string> SeccompCompiler::RuntimeDefault(
    uint64_t capabilities) {
  PINION_ASSIGN_OR_RETURN_AS(std::string program, Compile("", capabilities),
                             "seccomp profile RuntimeDefault");
  return program;
}

absl::StatusOr<std::string> SeccompCompiler::Localhost(const std::string& path,
                                                       uint64_t capabilities) {
  const std::string phrase = absl::StrCat("seccomp profile ", path);
  PINION_ASSIGN_OR_RETURN_AS(const std::string text,
                             os::ReadFileAt(AT_FDCWD, path, kMaxFile), phrase);
  if (text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(phrase, ": empty"));
  }
  PINION_ASSIGN_OR_RETURN_AS(std::string program, Compile(text, capabilities),
                             phrase);
  return program;
}

absl::StatusOr<std::string> SeccompCompiler::Compile(const std::string& text,
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
  PINION_ASSIGN_OR_RETURN(std::string program, CompileSeccomp(profile));
  absl::MutexLock lock(&mutex_);
  if (programs_.size() >= kMaxPrograms) programs_.clear();
  programs_[key] = program;
  return program;
}

}  // namespace pinion::plan
