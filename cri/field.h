// Checks of what comes from outside. Every refusal is an InvalidArgument that
// names the field as the CRI spells it and shows the value, escaped and cut,
// so that neither a log line nor a status message can be forged or flooded:
//
//   config.mounts[2].host_path "a\nb": must be an absolute path
//
// Pure functions and value types; thread-safe.

#ifndef PINION_CRI_FIELD_H_
#define PINION_CRI_FIELD_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace pinion::cri {

// A field's path. Linked to its parent on the stack and rendered only when
// something is wrong; a child must not outlive its parent, so a child of a
// temporary does not compile.
class Field {
 public:
  explicit Field(std::string_view name) : name_(name) {}

  Field Sub(std::string_view name) const& { return Field(this, name, -1); }
  Field Sub(std::string_view name) const&& = delete;
  // An element of a repeated field.
  Field At(int index) const& { return Field(this, {}, index); }
  Field At(int index) const&& = delete;

  // "config.mounts[2].host_path".
  std::string ToString() const;

 private:
  Field(const Field* parent, std::string_view name, int index)
      : parent_(parent), name_(name), index_(index) {}

  const Field* parent_ = nullptr;
  std::string_view name_;
  int index_ = -1;
};

// Between double quotes, C-escaped, ASCII only, cut after 64 bytes.
std::string Quoted(std::string_view value);

// InvalidArgument `field "value": rule`.
absl::Status Refuse(const Field& field, std::string_view value,
                    std::string_view rule);
absl::Status Refuse(const Field& field, int64_t value, std::string_view rule);
// InvalidArgument `field: rule`.
absl::Status RefuseField(const Field& field, std::string_view rule);
// Unimplemented `field: what is not supported`.
absl::Status NotSupported(const Field& field, std::string_view what);

// Not empty, at most `max` bytes, safe as one path component (base/id.h).
absl::Status CheckName(const Field& field, std::string_view value, size_t max);

// At most `max` bytes and no NUL: what may become an argument of a syscall.
absl::Status CheckText(const Field& field, std::string_view value, size_t max);

// Like CheckText, and no control character at all: what may become a line of
// a file or of a log.
absl::Status CheckLine(const Field& field, std::string_view value, size_t max);

// CheckText to PATH_MAX, and a leading '/'.
absl::Status CheckAbsolutePath(const Field& field, std::string_view value);

// Names below some directory: not absolute, no component "..".
absl::Status CheckRelativePath(const Field& field, std::string_view value);

// No component of the path is "..".
bool HasDotDot(std::string_view path);

absl::Status CheckRange(const Field& field, int64_t value, int64_t low,
                        int64_t high);

// A uid or gid: 0 … 2³¹-1.
absl::Status CheckUnixId(const Field& field, int64_t value);

// The id of an object, or a prefix of one. Text that can be no id of ours but
// harms nobody is accepted: it names an object that does not exist.
absl::Status CheckObjectId(const Field& field, std::string_view value);

// An IPv4 or IPv6 address; an IPv6 one may have a zone ("fe80::1%eth0").
absl::Status CheckIpAddress(const Field& field, std::string_view value);

}  // namespace pinion::cri

#endif  // PINION_CRI_FIELD_H_
