// How a session's end is told on its error stream, and how the size of a
// terminal is read from its resize stream.
//
// Pure functions.

#ifndef PINION_CRI_STREAMING_EXIT_STATUS_H_
#define PINION_CRI_STREAMING_EXIT_STATUS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::cri::streaming {

// What a client of remotecommand `version` is sent: from 4 on a
// metav1.Status as JSON, before that plain text, empty for success.
std::string ExitText(int version, const absl::StatusOr<int32_t>& outcome);

struct TerminalSize {
  uint16_t columns = 0;
  uint16_t rows = 0;
};

// Takes the sizes that have arrived whole, {"Width":80,"Height":24}, off the
// front of `buffer`, and returns whether there was any, the last in `size`.
// What is no size is dropped.
bool TakeTerminalSize(std::string* buffer, TerminalSize* size);

// More than any size needs: what is longer is dropped.
inline constexpr size_t kMaxResizeBuffer = 1024;

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_EXIT_STATUS_H_
