// What a monitor makes of a daemon's bytes: every request's decoder, whatever
// the type says.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/monitor/messages.h"
#include "runtime/monitor/protocol.h"

namespace pinion::monitor {
namespace {

volatile unsigned char sink;

// Reads every byte, so that the sanitizer sees where a view points.
void Touch(std::string_view view) {
  for (const char c : view) sink = static_cast<unsigned char>(c);
}

void DecodeSandbox(const MessageReader& reader) {
  SandboxMessage sandbox;
  ReceivedFds none;
  Get(reader, &none, &sandbox);
  if (sandbox.netns_fd != -1) abort();
  Touch(sandbox.hostname);
  size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (NextSysctl(reader, &cursor, &name, &value)) {
    Touch(name);
    Touch(value);
  }
}

void DecodeStart(const MessageReader& reader) {
  ReceivedFds none;
  StartMessage start;
  if (Get(reader, &none, &start)) abort();  // There is no plan to be had.
  if (start.plan_fd != -1 || start.cgroup_fd != -1 || start.stdin_fd != -1 ||
      start.stdout_fd != -1 || start.stderr_fd != -1) {
    abort();
  }
  Touch(start.id);
  Touch(start.container_id);
  Touch(start.log_path);
}

void DecodeAttach(const MessageReader& reader) {
  ReceivedFds none;
  AttachMessage attach;
  if (Get(reader, &none, &attach)) abort();  // There is no control pipe.
  if (attach.stdout_fd != -1 || attach.stderr_fd != -1 ||
      attach.control_fd != -1) {
    abort();
  }
  Touch(attach.id);
}

}  // namespace
}  // namespace pinion::monitor

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::monitor;
  MessageReader reader;
  if (!reader.Parse(reinterpret_cast<const char*>(data), size)) return 0;
  DecodeSandbox(reader);
  DecodeStart(reader);
  DecodeAttach(reader);
  TargetMessage target;
  if (Get(reader, &target) && !IsMonitorId(target.id)) abort();
  Touch(target.id);
  sink = static_cast<unsigned char>(GetExitAck(reader));
  return 0;
}
