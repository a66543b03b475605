#include "runtime/plan/propagation.h"

#include <fcntl.h>
#include <stdlib.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxMountinfo = size_t{64} << 20;

// mountinfo writes blanks, newlines and backslashes as \ooo.
std::string Unescape(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>((text[i + 1] - '0') * 64 +
                                  (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool IsAtOrBelow(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory ||
         absl::StartsWith(path, absl::StrCat(directory, "/"));
}

}  // namespace

absl::Status CheckPropagationIn(const std::string& mountinfo,
                                const std::string& source,
                                launch::Propagation propagation) {
  if (propagation == launch::Propagation::kPrivate) return absl::OkStatus();
  std::string mount;
  bool shared = false;
  bool slave = false;
  // The deepest mount holds the path; of two on one place, the later one.
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 7) continue;
    std::string point = Unescape(fields[4]);
    if (!IsAtOrBelow(source, point) || point.size() < mount.size()) continue;
    mount = std::move(point);
    shared = slave = false;
    for (size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      shared = shared || absl::StartsWith(fields[i], "shared:");
      slave = slave || absl::StartsWith(fields[i], "master:");
    }
  }
  if (shared) return absl::OkStatus();
  if (slave && propagation == launch::Propagation::kSlave) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      source, " is on ", mount, ", which is not a shared ",
      propagation == launch::Propagation::kSlave ? "or slave mount" : "mount"));
}

absl::Status CheckPropagation(const std::string& source,
                              launch::Propagation propagation) {
  if (propagation == launch::Propagation::kPrivate) return absl::OkStatus();
  const std::unique_ptr<char, decltype(&free)> real(
      realpath(source.c_str(), nullptr), free);
  if (real == nullptr) {
    return os::ErrnoStatus(absl::StrCat("realpath ", source));
  }
  PINION_ASSIGN_OR_RETURN(
      const std::string mountinfo,
      os::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", kMaxMountinfo));
  return CheckPropagationIn(mountinfo, real.get(), propagation);
}

}  // namespace pinion::plan
