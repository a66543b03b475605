// Name/value blocks of SPDY/3: length-prefixed pairs, compressed by one zlib
// stream per direction whose dictionary the protocol gives (SPDY draft 3,
// 2.6.10).
//
// Not thread-safe; one connection owns them. Memory: 44 KiB to read, 12 KiB
// to write.

#ifndef PINION_CRI_STREAMING_SPDY_HEADERS_H_
#define PINION_CRI_STREAMING_SPDY_HEADERS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cri/streaming/stream_mux.h"

namespace pinion::cri::streaming {

// Of one block, inflated: what is longer is no stream of ours.
inline constexpr size_t kMaxHeaderBlock = 16384;

// The dictionary's 1423 bytes.
const std::string& SpdyDictionary();

class HeaderInflater {
 public:
  HeaderInflater();
  ~HeaderInflater();

  // A block that came whole. After an error the stream is lost, and the
  // connection with it.
  absl::StatusOr<StreamHeaders> Read(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class HeaderDeflater {
 public:
  HeaderDeflater();
  ~HeaderDeflater();

  std::string Write(const StreamHeaders& headers);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The block without its compression. InvalidArgument for anything but pairs
// that fill it exactly; a name in upper case or twice is refused too.
absl::StatusOr<StreamHeaders> ParseHeaderBlock(std::string_view block);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_SPDY_HEADERS_H_
