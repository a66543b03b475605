// What the daemon makes of a monitor's bytes: every answer's and event's
// decoder, and exit records on disk.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/monitor/client_records.h"
#include "runtime/monitor/exit_record.h"
#include "runtime/monitor/messages.h"
#include "runtime/monitor/protocol.h"

namespace pinion::monitor {
namespace {

void DecodeAnswers(const MessageReader& reader) {
  ReceivedFds none;
  SandboxReplyMessage sandbox;
  Get(reader, &none, &sandbox);
  StartReplyMessage start;
  Get(reader, &none, &start);
  if (sandbox.netns_fd != -1 || sandbox.route_socket != -1 ||
      start.console_fd != -1) {
    abort();
  }
  AttachReplyMessage attach;
  Get(reader, &none, &attach);
  SocketsReplyMessage sockets;
  Get(reader, &none, &sockets);
  if (attach.stdin_fd != -1 || attach.console_fd != -1 ||
      sockets.ipv4_fd != -1 || sockets.ipv6_fd != -1) {
    abort();
  }
  HelloReplyMessage hello;
  (void)Get(reader, &hello);
  const Error error = GetError(reader);
  if (ToStatus(error).ok() != (error.error == 0)) abort();
  if (ToStartStatus(error).ok() != (error.error == 0)) abort();
}

void DecodeReports(const MessageReader& reader) {
  ExitMessage exit;
  if (Get(reader, &exit)) {
    // What can be told can be written down and read again.
    char buffer[kMaxExitRecord];
    const std::string text(buffer, FormatExitRecord(exit, buffer));
    ExitMessage again;
    if (!ParseExitRecord(text, &again) || again.id != exit.id ||
        again.code != exit.code) {
      abort();
    }
    (void)ToExitRecord(exit);
  }
  ReportMessage report;
  if (Get(reader, &report)) (void)ToContainerReport(report);
}

}  // namespace
}  // namespace pinion::monitor

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::monitor;
  const char* bytes = reinterpret_cast<const char*>(data);
  MessageReader reader;
  if (reader.Parse(bytes, size)) {
    DecodeAnswers(reader);
    DecodeReports(reader);
  }
  ExitMessage exit;
  if (ParseExitRecord(std::string_view(bytes, size), &exit)) {
    (void)ToExitRecord(exit);
  }
  return 0;
}
