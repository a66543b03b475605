#include "tools/net_probes.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ipam/ip_address.h"
#include "network/duplicate_probe.h"
#include "network/mac.h"
#include "os/unique_fd.h"

namespace pinion::tools {
namespace {

using ipam::IpAddress;
using std::chrono::steady_clock;

constexpr uint16_t kDnsPort = 53;
// Between two of the same kind: one lost packet is no verdict.
constexpr std::chrono::milliseconds kRepeat(400);

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

std::optional<Address> ToSocketAddress(const std::string& text, uint16_t port) {
  const auto ip = IpAddress::Parse(text);
  if (!ip.ok()) return std::nullopt;
  Address address;
  if (ip->is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, ip->Bytes().data(), 4);
    address.size = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&address.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, ip->Bytes().data(), 16);
    address.size = sizeof(*in);
  }
  return address;
}

uint16_t RandomId() {
  uint16_t id = 0;
  return getrandom(&id, sizeof(id), 0) == sizeof(id) ? id : 4711;
}

// Waits for `events` until the deadline; false then.
bool Await(int fd, short events, ProbeDeadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      deadline - steady_clock::now());
  pollfd ready = {fd, events, 0};
  return left.count() > 0 &&
         poll(&ready, 1, static_cast<int>(left.count())) > 0;
}

ProbeOutcome Failure(int error) {
  ProbeOutcome outcome;
  outcome.error = error;
  return outcome;
}

// What earlier packets came to is queued beside the answers, and keeps the
// socket readable until it is taken.
void DropQueuedErrors(int fd) {
  char buffer[512];
  while (recv(fd, buffer, sizeof(buffer), MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
  }
}

// Sends `packet` over the connected socket, again and again, until `accept`
// has made something of what comes back.
template <typename Accept>
ProbeOutcome Exchange(int fd, const std::string& packet, ProbeDeadline deadline,
                      Accept accept) {
  const auto start = steady_clock::now();
  ProbeOutcome outcome;
  char buffer[65536];
  // Refused is an answer; "unreachable" may pass when an address is found.
  const auto final = [&outcome] {
    return outcome.error != 0 && outcome.error != EHOSTUNREACH;
  };
  while (steady_clock::now() < deadline && !final()) {
    const auto next = std::min(deadline, steady_clock::now() + kRepeat);
    if (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) {
      outcome.error = errno;
    }
    while (!final() && Await(fd, POLLIN, next)) {
      const ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (n >= 0 &&
          accept(std::string_view(buffer, static_cast<size_t>(n)), &outcome)) {
        outcome.duration_ns = (steady_clock::now() - start).count();
        return outcome;
      }
      if (n >= 0) continue;
      if (errno != EAGAIN && errno != EINTR) outcome.error = errno;
      DropQueuedErrors(fd);
    }
  }
  if (outcome.error == 0) outcome.error = ETIMEDOUT;
  outcome.duration_ns = (steady_clock::now() - start).count();
  return outcome;
}

uint16_t Checksum(const std::string& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    uint16_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(2, bytes.size() - i));
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string EchoRequest(bool v4, uint16_t id, size_t payload) {
  icmphdr header = {};
  header.type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  header.un.echo.id = id;
  header.un.echo.sequence = htons(1);
  std::string packet(sizeof(header) + payload, 'p');
  std::memcpy(packet.data(), &header, sizeof(header));
  if (v4) {
    // The kernel computes ICMPv6's, which covers addresses, too.
    header.checksum = Checksum(packet);
    std::memcpy(packet.data(), &header, sizeof(header));
  }
  return packet;
}

// A raw ICMP socket that is told of errors and never fragments.
os::UniqueFd OpenEcho(bool v4) {
  os::UniqueFd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC,
                         v4 ? IPPROTO_ICMP : static_cast<int>(IPPROTO_ICMPV6)));
  if (!fd.valid()) return fd;
  const int on = 1;
  const int level = v4 ? static_cast<int>(IPPROTO_IP) : IPPROTO_IPV6;
  const int probe = v4 ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE;
  setsockopt(fd.get(), level, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
  setsockopt(fd.get(), level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &probe,
             sizeof(probe));
  return fd;
}

}  // namespace

ProbeOutcome Ping(const std::string& address, size_t packet_size,
                  ProbeDeadline deadline) {
  const auto to = ToSocketAddress(address, 0);
  if (!to) return Failure(EINVAL);
  const bool v4 = to->storage.ss_family == AF_INET;
  const os::UniqueFd fd = OpenEcho(v4);
  if (!fd.valid() || connect(fd.get(), to->get(), to->size) != 0) {
    return Failure(errno);
  }
  const size_t headers = (v4 ? sizeof(iphdr) : 40) + sizeof(icmphdr);
  const uint16_t id = RandomId();
  const std::string request =
      EchoRequest(v4, id, packet_size > headers ? packet_size - headers : 24);
  return Exchange(
      fd.get(), request, deadline,
      [&](std::string_view packet, ProbeOutcome* outcome) {
        // Raw IPv4 sockets get the IP header, IPv6 ones do not.
        const size_t skip =
            v4 && !packet.empty() ? (packet[0] & 0x0f) * size_t{4} : 0;
        icmphdr header = {};
        if (packet.size() < skip + sizeof(header)) return false;
        std::memcpy(&header, packet.data() + skip, sizeof(header));
        outcome->ok = header.type == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
                      header.un.echo.id == id;
        if (outcome->ok) outcome->error = 0;
        return outcome->ok;
      });
}

namespace {

// NXDOMAIN is an answer, too: the server works.
void Judge(const DnsAnswer& answer, ProbeOutcome* outcome) {
  outcome->error = 0;
  outcome->dns_code = answer.code;
  outcome->answer = DnsCodeName(answer.code);
  outcome->ok = answer.code == 0 || answer.code == 3;
}

}  // namespace

ProbeOutcome AskDnsOverUdp(const std::string& server,
                           const DnsQuestion& question,
                           ProbeDeadline deadline) {
  const auto to = ToSocketAddress(server, kDnsPort);
  const uint16_t id = RandomId();
  const auto query = DnsQuery(id, question);
  if (!to || !query.ok()) return Failure(EINVAL);
  const os::UniqueFd fd(
      socket(to->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() || connect(fd.get(), to->get(), to->size) != 0) {
    return Failure(errno);
  }
  return Exchange(fd.get(), *query, deadline,
                  [&](std::string_view message, ProbeOutcome* outcome) {
                    const auto answer = ParseDnsAnswer(message, id, question);
                    if (!answer.ok()) {
                      // Goes on: it may be somebody else's.
                      outcome->answer =
                          absl::StrCat("what came ", answer.status().message());
                      return false;
                    }
                    Judge(*answer, outcome);
                    return true;
                  });
}

ProbeOutcome AskDnsOverTcp(const std::string& server,
                           const DnsQuestion& question,
                           ProbeDeadline deadline) {
  const auto start = steady_clock::now();
  const auto to = ToSocketAddress(server, kDnsPort);
  const uint16_t id = RandomId();
  const auto query = DnsQuery(id, question);
  if (!to || !query.ok()) return Failure(EINVAL);
  const os::UniqueFd fd(socket(to->storage.ss_family,
                               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ProbeOutcome outcome;
  const auto fail = [&](int error) {
    outcome.error = error;
    outcome.duration_ns = (steady_clock::now() - start).count();
    return outcome;
  };
  if (!fd.valid()) return fail(errno);
  if (connect(fd.get(), to->get(), to->size) != 0 && errno != EINPROGRESS) {
    return fail(errno);
  }
  if (!Await(fd.get(), POLLOUT, deadline)) return fail(ETIMEDOUT);
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(error);
  const std::string framed =
      std::string({static_cast<char>(query->size() >> 8),
                   static_cast<char>(query->size() & 0xff)}) +
      *query;
  if (send(fd.get(), framed.data(), framed.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(framed.size())) {
    return fail(errno);
  }
  std::string message;
  size_t wanted = 2;
  while (message.size() < wanted) {
    if (!Await(fd.get(), POLLIN, deadline)) return fail(ETIMEDOUT);
    std::array<char, 4096> buffer;
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) return fail(n < 0 ? errno : ECONNRESET);
    message.append(buffer.data(), static_cast<size_t>(n));
    if (message.size() >= 2) {
      wanted = 2 + (static_cast<size_t>(static_cast<uint8_t>(message[0])) << 8 |
                    static_cast<uint8_t>(message[1]));
    }
  }
  const auto answer = ParseDnsAnswer(
      std::string_view(message).substr(2, wanted - 2), id, question);
  if (answer.ok()) {
    Judge(*answer, &outcome);
  } else {
    outcome.answer = absl::StrCat("what came ", answer.status().message());
  }
  outcome.duration_ns = (steady_clock::now() - start).count();
  return outcome;
}

ProbeOutcome FindDuplicate(const std::string& device,
                           const std::string& address, ProbeDeadline deadline) {
  const auto start = steady_clock::now();
  const auto ip = IpAddress::Parse(address);
  if (!ip.ok() || !ip->is_v4()) return Failure(EAFNOSUPPORT);
  const os::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failure(errno);
  ifreq request = {};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0) return Failure(errno);
  network::MacAddress mac;
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  if (ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) return Failure(errno);
  auto question =
      network::DuplicateQuestion::Open(request.ifr_ifindex, mac, {*ip});
  const auto other =
      question.ok()
          ? question->Ask({1, std::chrono::ceil<std::chrono::milliseconds>(
                                  deadline - start)})
          : question.status();
  ProbeOutcome outcome;
  outcome.ok = other.ok() && !other->has_value();
  if (!other.ok()) {
    outcome.error = EIO;
    outcome.answer = std::string(other.status().message());
  } else if (other->has_value()) {
    outcome.answer = network::MacToString((*other)->mac);
  }
  outcome.duration_ns = (steady_clock::now() - start).count();
  return outcome;
}

}  // namespace pinion::tools
