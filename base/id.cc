#include "base/id.h"

#include <algorithm>
#include <array>
#include <random>

namespace pinion {
namespace {

bool IsLowerHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

}  // namespace

std::string NewId() {
  // libstdc++'s random_device reads the kernel's generator (or RDRAND).
  static thread_local std::random_device random;
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  id.reserve(kIdLength);
  while (id.size() < kIdLength) {
    unsigned int bits = random();
    for (int i = 0; i < 8; ++i, bits >>= 4) id.push_back(kDigits[bits & 15U]);
  }
  return id;
}

bool IsId(std::string_view text) {
  return text.size() == kIdLength &&
         std::all_of(text.begin(), text.end(), IsLowerHex);
}

bool IsIdPrefix(std::string_view text) {
  return !text.empty() && text.size() <= kIdLength &&
         std::all_of(text.begin(), text.end(), IsLowerHex);
}

bool IsSafeName(std::string_view text) {
  if (text.empty() || text.size() > 253 || text == "." || text == "..") {
    return false;
  }
  return std::none_of(text.begin(), text.end(), [](char c) {
    return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::string ShortId(std::string_view id) {
  return std::string(id.substr(0, 13));
}

}  // namespace pinion
