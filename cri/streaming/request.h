// What a URL stands for: the checked content of an Exec, Attach or
// PortForward request. Plain values.

#ifndef PINION_CRI_STREAMING_REQUEST_H_
#define PINION_CRI_STREAMING_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/process_streams.h"

namespace pinion::cri::streaming {

enum class Kind { kExec, kAttach, kPortForward };

// "exec", "attach", "portforward": in URLs, logs and metrics.
const char* KindName(Kind kind);

struct Request {
  Kind kind = Kind::kExec;
  // A container's, or for kPortForward a pod's.
  std::string id;
  // kExec only.
  std::vector<std::string> command;
  // kExec and kAttach.
  runtime::StreamOptions streams;
  // kPortForward: only the channel protocol needs them beforehand.
  std::vector<uint16_t> ports;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_REQUEST_H_
