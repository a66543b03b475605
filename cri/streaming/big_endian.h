// Numbers in network byte order, as SPDY and WebSocket have them.

#ifndef PINION_CRI_STREAMING_BIG_ENDIAN_H_
#define PINION_CRI_STREAMING_BIG_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pinion::cri::streaming {

inline void AppendBigEndian(uint64_t value, size_t bytes, std::string* out) {
  for (size_t i = bytes; i-- > 0;) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}

inline void AppendBigEndian32(uint32_t value, std::string* out) {
  AppendBigEndian(value, 4, out);
}

// All of `bytes`, at most 8.
inline uint64_t ReadBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

// The four bytes at `offset`, which are there.
inline uint32_t ReadBigEndian32(std::string_view bytes, size_t offset) {
  return static_cast<uint32_t>(ReadBigEndian(bytes.substr(offset, 4)));
}

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_BIG_ENDIAN_H_
