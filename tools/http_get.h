// A GET over HTTP/1.0, for the demo and tests: enough to see a pod answer.
//
// Thread-safe.

#ifndef PINION_TOOLS_HTTP_GET_H_
#define PINION_TOOLS_HTTP_GET_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace pinion::tools {

// The answer's body. `ip` is a numeric IPv4 or IPv6 address. DeadlineExceeded
// after `timeout`; FailedPrecondition if the status is not 200.
absl::StatusOr<std::string> HttpGet(const std::string& ip, uint16_t port,
                                    const std::string& path,
                                    std::chrono::milliseconds timeout);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_HTTP_GET_H_
