// Text in fixed buffers, for code that has neither heap nor stdio: what is
// too long is cut, the result is always NUL-terminated.

#ifndef PINION_RUNTIME_MONITOR_TEXT_H_
#define PINION_RUNTIME_MONITOR_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pinion::monitor {

template <size_t kCapacity>
class FixedText {
 public:
  FixedText& Add(std::string_view text) {
    for (const char c : text) {
      if (size_ + 1 < kCapacity) bytes_[size_++] = c;
    }
    bytes_[size_] = '\0';
    return *this;
  }

  FixedText& AddNumber(int64_t value) {
    if (value < 0) Add("-");
    // Negated as unsigned, so that INT64_MIN is right too.
    const uint64_t bits = static_cast<uint64_t>(value);
    return AddUnsigned(value < 0 ? ~bits + 1 : bits);
  }

  FixedText& AddUnsigned(uint64_t value) {
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count > 0) Add(std::string_view(&digits[--count], 1));
    return *this;
  }

  const char* c_str() const { return bytes_; }
  size_t size() const { return size_; }
  bool full() const { return size_ + 1 == kCapacity; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return std::string_view(bytes_, size_); }
  void Clear() {
    size_ = 0;
    bytes_[0] = '\0';
  }

 private:
  size_t size_ = 0;
  char bytes_[kCapacity] = {};
};

// A whole decimal number, with a sign or without. False if it is not one or
// does not fit.
inline bool ParseNumber(std::string_view text, int64_t* value) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 19) return false;
  uint64_t sum = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    sum = sum * 10 + static_cast<uint64_t>(c - '0');
  }
  // 19 digits fit into 64 bits, so the sum is right.
  const uint64_t limit = uint64_t{INT64_MAX} + (negative ? 1 : 0);
  if (sum > limit) return false;
  *value = static_cast<int64_t>(negative ? ~sum + 1 : sum);
  return true;
}

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_TEXT_H_
