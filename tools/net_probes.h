// Packets that find out whether a way works: echo requests, a DNS query, an
// ARP probe. Each is sent from the calling thread's network namespace, waits
// until its deadline at most, and changes nothing but neighbour caches.
//
// Thread-safe. They need CAP_NET_RAW.

#ifndef PINION_TOOLS_NET_PROBES_H_
#define PINION_TOOLS_NET_PROBES_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tools/dns_message.h"

namespace pinion::tools {

struct ProbeOutcome {
  bool ok = false;
  int64_t duration_ns = 0;
  // Why not: an errno, ETIMEDOUT if nothing came; 0: `answer` says it.
  int error = 0;
  // For people: what was answered.
  std::string answer;
  int dns_code = -1;
};

using ProbeDeadline = std::chrono::steady_clock::time_point;

// ICMP echo, repeated until one is answered. `packet_size`: of the whole IP
// packet, never fragmented; 0: a small one.
ProbeOutcome Ping(const std::string& address, size_t packet_size,
                  ProbeDeadline deadline);

ProbeOutcome AskDnsOverUdp(const std::string& server,
                           const DnsQuestion& question, ProbeDeadline deadline);
ProbeOutcome AskDnsOverTcp(const std::string& server,
                           const DnsQuestion& question, ProbeDeadline deadline);

// Whether another station says that it has `address`, which is the device's
// own: the probe of RFC 5227. Ok if none does until the deadline; `answer` is
// the other's MAC.
ProbeOutcome FindDuplicate(const std::string& device,
                           const std::string& address, ProbeDeadline deadline);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_NET_PROBES_H_
