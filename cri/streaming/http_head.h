// The head of an HTTP/1.1 request, as far as an upgrade needs it: method,
// target, header fields. A body is refused.
//
// Thread-safe; strict: one request a connection, so nothing has to be guessed
// where a message ends.

#ifndef PINION_CRI_STREAMING_HTTP_HEAD_H_
#define PINION_CRI_STREAMING_HTTP_HEAD_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::cri::streaming {

// Up to and including the empty line.
inline constexpr size_t kMaxHeadBytes = 16384;
inline constexpr size_t kMaxHeaderFields = 100;

struct HttpHead {
  std::string method;
  // The path, without a query.
  std::string path;
  // Names in lower case, values without white space around; in order.
  std::vector<std::pair<std::string, std::string>> fields;

  // The comma-separated items of every field with this (lower-case) name.
  std::vector<std::string> Items(std::string_view name) const;
  // Whether `item` is one of them, whatever the case of either.
  bool HasItem(std::string_view name, std::string_view item) const;
  // The value, if the field is there exactly once; else empty.
  std::string Single(std::string_view name) const;
  bool Has(std::string_view name) const;
};

// The length of the head in `bytes`, with its empty line; 0: not whole yet.
size_t HeadLength(std::string_view bytes);

// `head` ends with the empty line. InvalidArgument says what is wrong.
absl::StatusOr<HttpHead> ParseHead(std::string_view head);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_HTTP_HEAD_H_
