// The client's side of WebSocket frames.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_WEBSOCKET_PEER_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_WEBSOCKET_PEER_H_

#include <string>
#include <string_view>
#include <vector>

#include "cri/streaming/big_endian.h"

namespace pinion::cri::streaming {

inline std::string ClientFrame(int opcode, const std::string& payload,
                               bool fin = true) {
  std::string frame;
  frame.push_back(static_cast<char>((fin ? 0x80 : 0) | opcode));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else if (payload.size() <= 0xffff) {
    frame.push_back(static_cast<char>(0x80 | 126));
    AppendBigEndian(payload.size(), 2, &frame);
  } else {
    frame.push_back(static_cast<char>(0x80 | 127));
    AppendBigEndian(payload.size(), 8, &frame);
  }
  const std::string mask = "\x11\x22\x33\x44";
  frame += mask;
  for (size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  }
  return frame;
}

// Whole frames of a server: the content of binary messages joined, every
// frame's opcode. Returns how many bytes were whole frames.
inline size_t ReadServerFrames(std::string_view bytes, std::string* content,
                               std::vector<int>* opcodes) {
  size_t at = 0;
  while (bytes.size() - at >= 2) {
    const int opcode = bytes[at] & 15;
    uint64_t length = bytes[at + 1] & 127;
    size_t head = 2;
    if (length == 126) head = 4;
    if (length == 127) head = 10;
    if (bytes.size() - at < head) break;
    if (head > 2) length = ReadBigEndian(bytes.substr(at + 2, head - 2));
    if (bytes.size() - at - head < length) break;
    if (opcode == 2) *content += bytes.substr(at + head, length);
    opcodes->push_back(opcode);
    at += head + length;
  }
  return at;
}

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_WEBSOCKET_PEER_H_
