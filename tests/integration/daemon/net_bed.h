// What the tests of `pinionctl net` are made of: a node (the test program's own
// namespace) on a cable to a LAN with a gateway and DNS servers, a daemon on
// the node, and the command's output. Needs root.

#ifndef PINION_TESTS_INTEGRATION_DAEMON_NET_BED_H_
#define PINION_TESTS_INTEGRATION_DAEMON_NET_BED_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/run_program.h"
#include "tests/support/test_host.h"

namespace pinion::testing {

using testing_support::TestHost;

// Where the namespaces are.
inline std::string PathOfNode() {
  return "/proc/" + std::to_string(getpid()) + "/ns/net";
}
inline std::string PathOf(const TestHost& host) {
  return "/proc/" + std::to_string(getpid()) + "/fd/" +
         std::to_string(host.netns_fd());
}

// A shell command on the node. A bed that is not as written proves nothing.
inline std::string OnNode(const std::string& command) {
  const Outcome outcome = RunProgram({"sh", "-c", command});
  EXPECT_EQ(outcome.exit_code, 0) << command << ": " << outcome.output;
  return outcome.output;
}

// A cable from the node: both ends named `name`, up.
inline void Plug(TestHost& host, const std::string& name) {
  OnNode("ip link add " + name + " type veth peer name " + name + " netns " +
         PathOf(host) + " && ip link set " + name + " up");
  host.Shell("ip link set lo up && ip link set " + name + " up");
}

// A server on port 53 of a network namespace.
class DnsServer {
 public:
  // dnsmasq, which answers every name, or refuses every one. `extra`: flags.
  static std::unique_ptr<DnsServer> Dnsmasq(
      const std::string& netns, const std::vector<std::string>& extra) {
    std::vector<std::string> words = {"dnsmasq",      "--keep-in-foreground",
                                      "--conf-file=", "--pid-file=",
                                      "--no-resolv",  "--no-hosts",
                                      "--user=root",  "--log-facility=-"};
    words.insert(words.end(), extra.begin(), extra.end());
    return Start(netns, words, "started");
  }
  // One that answers every packet with the code, or with what is no DNS (-1).
  static std::unique_ptr<DnsServer> Always(const std::string& netns, int code) {
    static constexpr char kScript[] = R"(
import select, socket, sys
code = int(sys.argv[1])
def answer(query):
    if code < 0: return b'hello'
    return query[:2] + bytes([0x81, 0x80 | code]) + query[4:]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 53))
tcp = socket.socket()
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(('', 53))
tcp.listen()
print('ready', flush=True)
while True:
    for s in select.select([udp, tcp], [], [])[0]:
        if s is udp:
            query, client = udp.recvfrom(4096)
            udp.sendto(answer(query), client)
        else:
            peer = tcp.accept()[0]
            reply = answer(peer.recv(4096)[2:])
            peer.sendall(len(reply).to_bytes(2, 'big') + reply)
            peer.close()
)";
    return Start(netns,
                 {"/usr/bin/python3", "-c", kScript, std::to_string(code)},
                 "ready");
  }
  ~DnsServer() { unlink(log_.c_str()); }

 private:
  static std::unique_ptr<DnsServer> Start(const std::string& netns,
                                          std::vector<std::string> words,
                                          const std::string& ready) {
    char log[] = "/tmp/pn-dns-log-XXXXXX";
    close(mkstemp(log));
    words.insert(words.begin(), {"nsenter", "--net=" + netns});
    auto server = std::unique_ptr<DnsServer>(new DnsServer);
    server->log_ = log;
    server->program_ = std::make_unique<BackgroundProgram>(
        words, std::vector<std::string>(), log);
    EXPECT_TRUE(testing_support::Eventually([&] {
      return server->program_->Log().find(ready) != std::string::npos;
    })) << server->program_->Log();
    return server;
  }

  std::string log_;
  std::unique_ptr<BackgroundProgram> program_;
};

// The LAN before the daemon: made first, gone last.
struct Lan {
  Lan() {
    Plug(host, "lan0");
    OnNode("ip addr add 10.88.100.2/16 dev lan0");
    host.Shell("ip addr add 10.88.100.1/16 dev lan0");
  }
  ~Lan() { OnNode("ip link del lan0"); }

  TestHost host;
};

// A daemon with the configuration's [network] table, and a pod.
class NetBed {
 public:
  explicit NetBed(const std::string& network) : bed_(Clean(network)) {}

  DaemonBed& daemon() { return bed_; }

  // `dns`: its servers.
  std::string RunPod(const std::string& name,
                     const std::vector<std::string>& dns) {
    auto config = bed_.PodConfig(name);
    config.mutable_dns_config()->clear_servers();
    config.mutable_dns_config()->clear_searches();
    config.mutable_dns_config()->add_searches("svc.cluster.local");
    for (const std::string& server : dns) {
      config.mutable_dns_config()->add_servers(server);
    }
    return bed_.RunPod(config);
  }

  Outcome Net(const std::string& pod, const std::vector<std::string>& flags) {
    std::vector<std::string> words = {BinaryPath("pinionctl"),
                                      "--config",
                                      bed_.dir() + "/pinion.toml",
                                      "--root",
                                      bed_.root(),
                                      "--state",
                                      bed_.state(),
                                      "net",
                                      pod};
    words.insert(words.end(), flags.begin(), flags.end());
    return RunProgram(words, "", std::chrono::minutes(5));
  }
  // Blanks and line breaks as one blank: sentences are wrapped.
  Outcome Look(const std::string& pod, const std::string& seconds = "30") {
    Outcome outcome = Net(pod, {"--timeout", seconds});
    std::string text;
    for (const char c : outcome.output) {
      const bool blank = c == ' ' || c == '\n';
      if (!blank) text += c;
      if (blank && !text.empty() && text.back() != ' ') text += ' ';
    }
    outcome.output = text;
    return outcome;
  }
  // That something does not work, and that the cause is named.
  void Fails(const std::string& pod, const std::string& text) {
    // What does work is to be found out within the limit, however slow the
    // machine is: more patience each time.
    Outcome outcome;
    for (const char* const seconds : {"1", "4", "15"}) {
      outcome = Look(pod, seconds);
      if (outcome.output.find("likely: " + text) != std::string::npos) break;
    }
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.output, ::testing::HasSubstr("likely: " + text));
  }
  void Works(const std::string& pod) {
    // Who was asked for in vain before is given up first. Then one look: what
    // it says must not depend on how often it is asked.
    const std::string in_vain = "ip neigh show nud incomplete";
    const bool given_up = testing_support::Eventually(
        [&] { return OnNode(in_vain).empty() && InPod(pod, in_vain).empty(); });
    const Outcome outcome = Look(pod);
    EXPECT_EQ(outcome.exit_code, 0)
        << outcome.output
        << (given_up ? "" : "a neighbour is still asked for in vain");
  }

  // A shell command in the pod's network namespace.
  std::string InPod(const std::string& pod, const std::string& command) {
    return OnNode("nsenter --net=" + NetnsOf(pod) + " sh -c '" + command + "'");
  }
  std::string AddressOf(const std::string& pod) {
    return bed_.PodStatus(pod).network().ip();
  }
  std::string NetnsOf(const std::string& pod) {
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod);
    request.set_verbose(true);
    runtime::v1::PodSandboxStatusResponse response;
    EXPECT_TRUE(bed_.client().Call(request, &response).ok());
    const std::string info = response.info().at("info");
    const size_t begin = info.find("/proc/");
    return info.substr(begin, info.find('"', begin) - begin);
  }

 private:
  // Devices of a test before outlive its daemon.
  static std::string Clean(const std::string& network) {
    OnNode(
        "for i in pinion-host pinion-host-p pinion0; do ip link del $i "
        "2>/dev/null || true; done");
    return network;
  }

  DaemonBed bed_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_INTEGRATION_DAEMON_NET_BED_H_
