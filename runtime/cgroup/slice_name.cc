#include "runtime/cgroup/slice_name.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace pinion::cgroup {
namespace {

constexpr std::string_view kSuffix = ".slice";
// UNIT_NAME_MAX of systemd, with the terminating NUL.
constexpr size_t kLongestUnitName = 255;
constexpr size_t kLongestDescription = 200;

bool IsUnitNameChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == ':' ||
         c == '-' || c == '_' || c == '.' || c == '\\';
}

// systemd prefixes '_' to a cgroup whose name could be an interface file's.
std::string EscapeCgroupName(const std::string& name) {
  static constexpr std::array kControllers = {
      "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids"};
  bool escape =
      name[0] == '_' || name[0] == '.' || absl::StartsWith(name, "cgroup.");
  for (const char* controller : kControllers) {
    escape = escape || absl::StartsWith(name, absl::StrCat(controller, "."));
  }
  return escape ? "_" + name : name;
}

}  // namespace

absl::StatusOr<std::string> SliceOf(const std::string& cgroup_parent) {
  const auto refuse = [&cgroup_parent](const char* why) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cgroup_parent \"", cgroup_parent, "\" is no systemd slice: ", why));
  };
  std::string slice = cgroup_parent;
  const size_t slash = slice.rfind('/');
  if (slash != std::string::npos) {
    if (slice[0] != '/') return refuse("a path must be absolute");
    if (slice.find("/../") != std::string::npos ||
        slice.find("/./") != std::string::npos ||
        slice.find("//") != std::string::npos) {
      return refuse("it has an empty or unsafe component");
    }
    slice = slice.substr(slash + 1);
  }
  if (!absl::EndsWith(slice, kSuffix.data()) ||
      slice.size() <= kSuffix.size()) {
    return refuse("its name does not end in .slice");
  }
  if (slice.size() > kLongestUnitName) return refuse("its name is too long");
  if (!std::all_of(slice.begin(), slice.end(), IsUnitNameChar)) {
    return refuse("its name has a character that units cannot have");
  }
  const std::string stem = slice.substr(0, slice.size() - kSuffix.size());
  if (stem == "-") return slice;
  // Each dash separates a slice from its child.
  if (stem.front() == '-' || stem.back() == '-' ||
      stem.find("--") != std::string::npos) {
    return refuse("a dash stands between two names");
  }
  return slice;
}

std::string SlicePath(const std::string& slice) {
  const std::string stem = slice.substr(0, slice.size() - kSuffix.size());
  if (stem == "-") return "";
  std::string path;
  size_t dash = 0;
  do {
    dash = stem.find('-', dash + 1);
    absl::StrAppend(
        &path, "/",
        EscapeCgroupName(absl::StrCat(stem.substr(0, dash), kSuffix.data())));
  } while (dash != std::string::npos);
  return path;
}

std::string SanitizeDescription(const std::string& text) {
  std::string result = text.substr(0, kLongestDescription);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
    if (byte >= 0x80 || c == '\\' || c == '%') c = '?';
  }
  // As systemd does when it reads the unit's file again.
  absl::StripAsciiWhitespace(&result);
  return result.empty() ? "pinion pod" : result;
}

}  // namespace pinion::cgroup
