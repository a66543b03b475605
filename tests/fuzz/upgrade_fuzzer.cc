// What anybody may send to the streaming server first: a head is refused or
// answered with one head of ours into which nothing of it gets but a
// subprotocol's name. And a terminal's size.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "cri/streaming/exit_status.h"
#include "cri/streaming/http_head.h"
#include "cri/streaming/upgrade.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pinion::cri::streaming::Kind;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  std::string sizes = bytes;
  pinion::cri::streaming::TerminalSize terminal;
  (void)pinion::cri::streaming::TakeTerminalSize(&sizes, &terminal);
  if (sizes.find('}') != std::string::npos) std::abort();

  const auto head = pinion::cri::streaming::ParseHead(bytes + "\r\n\r\n");
  if (!head.ok()) return 0;
  (void)pinion::cri::streaming::ForeignOrigin(*head);
  for (const Kind kind : {Kind::kExec, Kind::kAttach, Kind::kPortForward}) {
    const auto upgrade = pinion::cri::streaming::NegotiateUpgrade(*head, kind);
    const std::string& answer = upgrade.response;
    if (answer.compare(0, 9, "HTTP/1.1 ") != 0) std::abort();
    const size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) std::abort();
    const bool switching = answer.compare(9, 3, "101") == 0;
    if (switching != upgrade.accepted) std::abort();
    if (switching && end + 4 != answer.size()) std::abort();
  }
  return 0;
}
