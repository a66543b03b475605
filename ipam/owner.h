// Who holds an address: 52 bits, the first 13 hexadecimal digits of an id,
// which are also the digits that people are shown (base/id.h, ShortId). Ids
// are random: among 65,536 owners two share a token with a chance of 1 in
// two million.
//
// A value type.

#ifndef PINION_IPAM_OWNER_H_
#define PINION_IPAM_OWNER_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"

namespace pinion::ipam {

class Owner {
 public:
  static constexpr int kBits = 52;
  static constexpr size_t kDigits = kBits / 4;

  Owner() = default;
  // Only the low 52 bits count.
  explicit Owner(uint64_t token) : token_(token & kMask) {}

  // An id, or a prefix of one, of at least 13 lower-case hexadecimal digits;
  // InvalidArgument otherwise.
  static absl::StatusOr<Owner> FromId(std::string_view id);

  uint64_t token() const { return token_; }
  // 13 digits: a prefix of the id.
  std::string ToString() const {
    return absl::StrCat(absl::Hex(token_, absl::kZeroPad13));
  }

  auto operator<=>(const Owner&) const = default;

 private:
  static constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;

  uint64_t token_ = 0;
};

inline absl::StatusOr<Owner> Owner::FromId(std::string_view id) {
  if (id.size() < kDigits || !IsIdPrefix(id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(id), "\" is no id"));
  }
  uint64_t token = 0;
  for (const char digit : id.substr(0, kDigits)) {
    token = token << 4 | static_cast<uint64_t>(digit <= '9' ? digit - '0'
                                                            : digit - 'a' + 10);
  }
  return Owner(token);
}

}  // namespace pinion::ipam

#endif  // PINION_IPAM_OWNER_H_
