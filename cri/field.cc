#include "cri/field.h"

#include <arpa/inet.h>

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"

namespace pinion::cri {
namespace {

constexpr size_t kShownBytes = 64;
// PATH_MAX without its NUL.
constexpr size_t kMaxPath = 4095;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string Field::ToString() const {
  const std::string above = parent_ == nullptr ? "" : parent_->ToString();
  if (index_ >= 0) return absl::StrCat(above, "[", index_, "]");
  const std::string name(name_);
  return above.empty() ? name : absl::StrCat(above, ".", name);
}

std::string Quoted(std::string_view value) {
  const std::string shown(value.substr(0, kShownBytes));
  const std::string rest = value.size() > kShownBytes
                               ? absl::StrCat("... (", value.size(), " bytes)")
                               : "";
  return absl::StrCat("\"", absl::CHexEscape(shown), "\"", rest);
}

absl::Status Refuse(const Field& field, std::string_view value,
                    std::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(
      field.ToString(), " ", Quoted(value), ": ", std::string(rule)));
}

absl::Status Refuse(const Field& field, int64_t value, std::string_view rule) {
  return absl::InvalidArgumentError(
      absl::StrCat(field.ToString(), " ", value, ": ", std::string(rule)));
}

absl::Status RefuseField(const Field& field, std::string_view rule) {
  return absl::InvalidArgumentError(
      absl::StrCat(field.ToString(), ": ", std::string(rule)));
}

absl::Status NotSupported(const Field& field, std::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat(field.ToString(), ": ", std::string(what)));
}

absl::Status CheckName(const Field& field, std::string_view value, size_t max) {
  if (value.empty()) return RefuseField(field, "must not be empty");
  if (value.size() > max) {
    return Refuse(field, value,
                  absl::StrCat("must have at most ", max, " bytes"));
  }
  if (!IsSafeName(value)) {
    return Refuse(field, value,
                  "must hold neither '/' nor control characters, and be "
                  "neither \".\" nor \"..\"");
  }
  return absl::OkStatus();
}

absl::Status CheckText(const Field& field, std::string_view value, size_t max) {
  if (value.size() > max) {
    return Refuse(field, value,
                  absl::StrCat("must have at most ", max, " bytes"));
  }
  if (value.find('\0') != std::string_view::npos) {
    return Refuse(field, value, "must not hold a NUL byte");
  }
  return absl::OkStatus();
}

absl::Status CheckLine(const Field& field, std::string_view value, size_t max) {
  if (absl::Status s = CheckText(field, value, max); !s.ok()) return s;
  if (std::any_of(value.begin(), value.end(), IsControl)) {
    return Refuse(field, value, "must not hold control characters");
  }
  return absl::OkStatus();
}

absl::Status CheckAbsolutePath(const Field& field, std::string_view value) {
  if (absl::Status s = CheckText(field, value, kMaxPath); !s.ok()) return s;
  if (value.empty() || value.front() != '/') {
    return Refuse(field, value, "must be an absolute path");
  }
  return absl::OkStatus();
}

absl::Status CheckRelativePath(const Field& field, std::string_view value) {
  if (absl::Status s = CheckText(field, value, kMaxPath); !s.ok()) return s;
  if (value.empty() || value.front() == '/' || HasDotDot(value)) {
    return Refuse(field, value, "must be a relative path without \"..\"");
  }
  return absl::OkStatus();
}

bool HasDotDot(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

absl::Status CheckRange(const Field& field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Refuse(field, value,
                absl::StrCat("must be between ", low, " and ", high));
}

absl::Status CheckUnixId(const Field& field, int64_t value) {
  return CheckRange(field, value, 0, std::numeric_limits<int32_t>::max());
}

absl::Status CheckObjectId(const Field& field, std::string_view value) {
  return CheckName(field, value, 253);
}

absl::Status CheckIpAddress(const Field& field, std::string_view value) {
  // With a zone: INET6_ADDRSTRLEN, '%' and IFNAMSIZ.
  if (absl::Status s = CheckLine(field, value, 64); !s.ok()) return s;
  const size_t percent = value.find('%');
  const std::string address(value.substr(0, percent));
  in6_addr ignored;
  if (inet_pton(AF_INET6, address.c_str(), &ignored) == 1) {
    const std::string_view zone =
        percent == std::string_view::npos ? "z" : value.substr(percent + 1);
    if (IsSafeName(zone) && zone.find(' ') == std::string_view::npos) {
      return absl::OkStatus();
    }
  } else if (percent == std::string_view::npos &&
             inet_pton(AF_INET, address.c_str(), &ignored) == 1) {
    return absl::OkStatus();
  }
  return Refuse(field, value, "must be an IP address");
}

}  // namespace pinion::cri
