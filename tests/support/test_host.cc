#include "tests/support/test_host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <chrono>

#include "tests/support/eventually.h"

namespace pinion::testing_support {
namespace {

[[noreturn]] void Die(const std::string& what) {
  fprintf(stderr, "test host: %s: %s\n", what.c_str(), strerror(errno));
  abort();
}

struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
};

Endpoint MakeEndpoint(const std::string& address, uint16_t port) {
  Endpoint endpoint;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&endpoint.address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&endpoint.address);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    endpoint.length = sizeof(*v4);
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    endpoint.length = sizeof(*v6);
  } else {
    Die("no address: " + address);
  }
  return endpoint;
}

os::UniqueFd TcpSocket(const Endpoint& endpoint, std::chrono::seconds wait) {
  os::UniqueFd fd(
      socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) Die("socket");
  const timeval limit{.tv_sec = wait.count(), .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  return fd;
}

}  // namespace

TestHost::TestHost() : thread_([this] { Loop(); }) {
  Run([this] {
    if (unshare(CLONE_NEWNET) != 0) Die("unshare CLONE_NEWNET");
    OpenNamespace();
  });
}

TestHost::TestHost(const std::string& netns_path)
    : thread_([this] { Loop(); }) {
  Run([this, &netns_path] {
    const os::UniqueFd netns(open(netns_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(netns.get(), CLONE_NEWNET) != 0) Die("enter " + netns_path);
    OpenNamespace();
  });
}

void TestHost::OpenNamespace() {
  netns_.Reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!netns_.valid()) Die("open /proc/thread-self/ns/net");
  route_.Reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!route_.valid()) Die("socket AF_NETLINK");
}

TestHost::~TestHost() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TestHost::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || work_ != nullptr; });
    if (stopping_) return;
    (*work_)();
    work_ = nullptr;
    changed_.notify_all();
  }
}

void TestHost::Run(const std::function<void()>& work) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return work_ == nullptr; });
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [this, &work] { return work_ != &work; });
}

std::string TestHost::Shell(const std::string& command) {
  std::string output;
  Run([&] {
    FILE* const pipe = popen(command.c_str(), "re");
    if (pipe == nullptr) Die("popen " + command);
    std::array<char, 4096> buffer;
    size_t got;
    while ((got = fread(buffer.data(), 1, buffer.size(), pipe)) != 0) {
      output.append(buffer.data(), got);
    }
    const int status = pclose(pipe);
    if (status != 0) {
      fprintf(stderr, "test host: %s: status %d\n", command.c_str(), status);
      abort();
    }
  });
  return output;
}

void Connect(TestHost& a, TestHost& b, const std::string& name) {
  const std::string there = "/proc/" + std::to_string(getpid()) + "/fd/" +
                            std::to_string(b.netns_fd());
  a.Shell("ip link add " + name + " type veth peer name " + name + " netns " +
          there);
  a.Shell("ip link set " + name + " up");
  b.Shell("ip link set " + name + " up");
}

void AddAddress(TestHost& host, const std::string& device,
                const std::string& prefix) {
  const bool v6 = prefix.find(':') != std::string::npos;
  host.Shell("ip address replace " + prefix + " dev " + device +
             (v6 ? " nodad" : ""));
  const std::string list =
      std::string("ip ") + (v6 ? "-6" : "-4") + " route show table local";
  const std::string wanted =
      "local " + prefix.substr(0, prefix.find('/')) + " ";
  if (!Eventually(
          [&] { return host.Shell(list).find(wanted) != std::string::npos; })) {
    Die("the address " + prefix + " is not used");
  }
}

bool Reaches(TestHost& from, TestHost& to, const std::string& address,
             std::chrono::seconds limit) {
  return !ReachesPort(from, to, address, 0, 0, limit).empty();
}

std::string ReachesPort(TestHost& from, TestHost& to,
                        const std::string& address, uint16_t port,
                        uint16_t listen_port, std::chrono::seconds limit) {
  os::UniqueFd listener;
  to.Run([&] {
    Endpoint any = MakeEndpoint(
        address.find(':') == std::string::npos ? "0.0.0.0" : "::", listen_port);
    listener = TcpSocket(any, limit);
    const int one = 1;
    if (setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one,
                   sizeof(one)) != 0 ||
        bind(listener.get(), reinterpret_cast<sockaddr*>(&any.address),
             any.length) != 0 ||
        listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), reinterpret_cast<sockaddr*>(&any.address),
                    &any.length) != 0) {
      Die("listen");
    }
    // The port is at the same place in both families' addresses.
    if (port == 0) {
      port = ntohs(reinterpret_cast<sockaddr_in*>(&any.address)->sin_port);
    }
  });
  std::string peer;
  from.Run([&] {
    const Endpoint endpoint = MakeEndpoint(address, port);
    const auto deadline = std::chrono::steady_clock::now() + limit;
    os::UniqueFd client;
    for (;;) {
      client = TcpSocket(endpoint, limit);
      if (connect(client.get(),
                  reinterpret_cast<const sockaddr*>(&endpoint.address),
                  endpoint.length) == 0) {
        break;
      }
      // The kernel gives up a neighbour after three questions.
      if (errno != EHOSTUNREACH ||
          std::chrono::steady_clock::now() > deadline) {
        return;
      }
      poll(nullptr, 0, 10);
    }
    sockaddr_storage seen{};
    socklen_t length = sizeof(seen);
    const os::UniqueFd served(
        accept(listener.get(), reinterpret_cast<sockaddr*>(&seen), &length));
    char byte = 'p';
    std::array<char, NI_MAXHOST> name{};
    if (served.valid() && write(served.get(), &byte, 1) == 1 &&
        read(client.get(), &byte, 1) == 1 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&seen), length, name.data(),
                    name.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
      peer = name.data();
    }
  });
  return peer;
}

}  // namespace pinion::testing_support
