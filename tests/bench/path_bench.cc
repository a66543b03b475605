// What a path between two network namespaces costs: round trips, one stream,
// many small packets, and the CPU time of each.
//
//   path_bench server PORT CPU
//     Serves TCP and UDP until it is killed; prints "ready".
//   path_bench client ADDRESS PORT CPU WHAT SECONDS TREE
//     WHAT: tcp_rr, udp_rr  64 bytes there and back, one after another
//           stream          one TCP connection, as fast as it goes
//           packets         64-byte datagrams that come back, 32 under way:
//                           nothing is lost, so what is counted has arrived
//     Prints one line of JSON: the count, the seconds, p50_us and p99_us of
//     round trips, and the CPU time meanwhile: of the machine, and of the
//     cgroup TREE, where both programs are (what the kernel does for a packet
//     in their context is theirs; what it leaves to its own threads is not).
//
// Each stays on the CPU that it is told, so that rounds can be compared.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/meters.h"

namespace pinion::bench {
namespace {

constexpr size_t kSmall = 64;
constexpr size_t kLarge = 128 * 1024;
constexpr int kUnderWay = 32;
constexpr int kPatienceMs = 2000;

[[noreturn]] void FailErrno(const std::string& what) {
  Fail(what + ": " + std::strerror(errno));
}

void StayOn(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    FailErrno("sched_setaffinity");
  }
}

sockaddr_in At(const char* address, int port) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address, &result.sin_addr) != 1) {
    Fail(std::string("no address: ") + address);
  }
  return result;
}

void NoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

// All of it, or false at the end of the connection.
bool ReadAll(int fd, char* data, size_t size) {
  while (size > 0) {
    const ssize_t got = read(fd, data, size);
    if (got <= 0) return false;
    data += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t put = send(fd, data, size, MSG_NOSIGNAL);
    if (put <= 0) return false;
    data += put;
    size -= static_cast<size_t>(put);
  }
  return true;
}

// The first byte says what the connection is for: 'r' or 's'.
void ServeConnection(int fd) {
  NoDelay(fd);
  char kind = 0;
  std::array<char, kSmall> small;
  if (ReadAll(fd, &kind, 1) && kind == 'r') {
    while (ReadAll(fd, small.data(), small.size()) &&
           WriteAll(fd, small.data(), small.size())) {
    }
  } else if (kind == 's') {
    std::vector<char> large(kLarge);
    uint64_t total = 0;
    for (ssize_t got; (got = read(fd, large.data(), large.size())) > 0;) {
      total += static_cast<uint64_t>(got);
    }
    WriteAll(fd, reinterpret_cast<const char*>(&total), sizeof(total));
  }
  close(fd);
}

void ServeDatagrams(int fd) {
  std::array<char, 2048> buffer;
  for (;;) {
    sockaddr_in from = {};
    socklen_t size = sizeof(from);
    const ssize_t got = recvfrom(fd, buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) continue;  // What ICMP said of an earlier client.
    sendto(fd, buffer.data(), static_cast<size_t>(got), 0,
           reinterpret_cast<const sockaddr*>(&from), size);
  }
}

int Serve(int port) {
  const sockaddr_in any = At("0.0.0.0", port);
  const auto* const address = reinterpret_cast<const sockaddr*>(&any);
  const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(tcp, address, sizeof(any)) != 0 || listen(tcp, 16) != 0 ||
      bind(udp, address, sizeof(any)) != 0) {
    FailErrno("bind");
  }
  std::thread(ServeDatagrams, udp).detach();
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    const int client = accept4(tcp, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) FailErrno("accept4");
    std::thread(ServeConnection, client).detach();
  }
}

struct Result {
  double count = 0;  // round trips, bytes, packets of both directions
  std::vector<double> microseconds;
};

class Client {
 public:
  Client(const char* address, int port, double seconds)
      : server_(At(address, port)), seconds_(seconds) {}

  int Connect(int type) const {
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&server_),
                sizeof(server_)) != 0) {
      FailErrno("connect");
    }
    if (type == SOCK_STREAM) NoDelay(fd);
    return fd;
  }

  Result RoundTrips(int type) const {
    const int fd = Connect(type);
    if (type == SOCK_STREAM) Send(fd, "r", 1);
    std::array<char, kSmall> data = {};
    Result result;
    const Stopwatch watch;
    do {
      const Stopwatch one;
      Send(fd, data.data(), data.size());
      Await(fd);
      if (!ReadAll(fd, data.data(), data.size())) FailErrno("read");
      result.microseconds.push_back(one.Ms() * 1000);
    } while (watch.Ms() < seconds_ * 1000);
    close(fd);
    result.count = static_cast<double>(result.microseconds.size());
    return result;
  }

  Result Stream() const {
    const int fd = Connect(SOCK_STREAM);
    Send(fd, "s", 1);
    const std::vector<char> data(kLarge);
    const Stopwatch watch;
    do {
      Send(fd, data.data(), data.size());
    } while (watch.Ms() < seconds_ * 1000);
    shutdown(fd, SHUT_WR);
    uint64_t total = 0;
    if (!ReadAll(fd, reinterpret_cast<char*>(&total), sizeof(total))) {
      FailErrno("read the total");
    }
    close(fd);
    return {static_cast<double>(total), {}};
  }

  Result Packets() const {
    const int fd = Connect(SOCK_DGRAM);
    std::array<char, kSmall> data = {};
    Result result;
    int under_way = 0;
    const Stopwatch watch;
    do {
      for (; under_way < kUnderWay; ++under_way) {
        Send(fd, data.data(), data.size());
      }
      Await(fd);
      while (recv(fd, data.data(), data.size(), MSG_DONTWAIT) > 0) {
        --under_way;
        result.count += 2;
      }
    } while (watch.Ms() < seconds_ * 1000);
    close(fd);
    return result;
  }

 private:
  static void Send(int fd, const char* data, size_t size) {
    if (!WriteAll(fd, data, size)) FailErrno("send");
  }
  static void Await(int fd) {
    pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) != 1) Fail("no answer");
  }

  const sockaddr_in server_;
  const double seconds_;
};

void Print(const std::string& what, Result result, double seconds,
           double tree_ms, double machine_ms) {
  JsonLine line("path", what);
  line.Number("count", result.count)
      .Number("seconds", seconds)
      .Number("tree_ms", tree_ms)
      .Number("machine_ms", machine_ms);
  if (result.microseconds.empty()) return;
  std::sort(result.microseconds.begin(), result.microseconds.end());
  const auto at = [&result](size_t percent) {
    return result
        .microseconds[(result.microseconds.size() - 1) * percent / 100];
  };
  line.Number("p50_us", at(50)).Number("p99_us", at(99));
}

int RunClient(const Client& client, const std::string& what,
              const std::string& tree) {
  const CpuMeter cpu(tree);
  const Stopwatch watch;
  Result result;
  if (what == "tcp_rr") {
    result = client.RoundTrips(SOCK_STREAM);
  } else if (what == "udp_rr") {
    result = client.RoundTrips(SOCK_DGRAM);
  } else if (what == "stream") {
    result = client.Stream();
  } else if (what == "packets") {
    result = client.Packets();
  } else {
    Fail("unknown measure " + what);
  }
  const double seconds = watch.Ms() / 1000;
  Print(what, std::move(result), seconds, cpu.TreeMs(),
        cpu.MachineMs() + cpu.OwnMs());
  return 0;
}

int Main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "server" && argc == 4) {
    StayOn(std::atoi(argv[3]));
    return Serve(std::atoi(argv[2]));
  }
  if (role == "client" && argc == 8) {
    StayOn(std::atoi(argv[4]));
    return RunClient(Client(argv[2], std::atoi(argv[3]), std::atof(argv[6])),
                     argv[5], argv[7]);
  }
  Fail("server PORT CPU | client ADDRESS PORT CPU WHAT SECONDS TREE");
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) { return pinion::bench::Main(argc, argv); }
