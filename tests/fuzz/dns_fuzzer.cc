// What comes from port 53, for pinionctl net.

#include <cstdint>
#include <string>

#include "tools/dns_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::tools;  // NOLINT
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const uint16_t id = static_cast<uint16_t>(data[0] << 8 | data[1]);
  const DnsQuestion questions[] = {
      {".", kDnsTypeNs},
      {"kubernetes.default.svc.cluster.local", kDnsTypeA},
      {text.substr(2, 64), kDnsTypeA}};
  for (const DnsQuestion& question : questions) {
    const auto answer = ParseDnsAnswer(text, id, question);
    if (answer.ok() &&
        (answer->code > 15 || size < 12 || DnsCodeName(answer->code).empty())) {
      __builtin_trap();
    }
    // A query that is sent back as an answer is one to that question.
    auto query = DnsQuery(id, question);
    if (!query.ok()) continue;
    if (query->size() > 512) __builtin_trap();
    if (ParseDnsAnswer(*query, id, question).ok()) __builtin_trap();
    (*query)[2] = static_cast<char>((*query)[2] | 0x80);
    if (!ParseDnsAnswer(*query, id, question).ok()) __builtin_trap();
  }
  return 0;
}
