// Object ids: 64 lower-case hexadecimal digits (256 random bits), as crictl
// and the kubelet expect them. Ids become file and cgroup names, so whatever
// comes from outside is checked with IsId or IsSafeName before it is used.
//
// Thread-safe.

#ifndef PINION_BASE_ID_H_
#define PINION_BASE_ID_H_

#include <string>
#include <string_view>

namespace pinion {

inline constexpr size_t kIdLength = 64;

// A new id from the kernel's random generator (getrandom(2)).
std::string NewId();

// Exactly 64 lower-case hexadecimal digits.
bool IsId(std::string_view text);

// What users may type: 1 to 64 lower-case hexadecimal digits.
bool IsIdPrefix(std::string_view text);

// Not empty, at most 253 bytes, no '/', no NUL or control character, neither
// "." nor "..": safe as one path component.
bool IsSafeName(std::string_view text);

// The first 13 digits: what people are shown.
std::string ShortId(std::string_view id);

}  // namespace pinion

#endif  // PINION_BASE_ID_H_
