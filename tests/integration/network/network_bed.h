// Nodes and pods for the tests of pod networks: each in a namespace of its
// own (tests/support/test_host.h). Needs root.

#ifndef PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_
#define PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <sys/socket.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/id.h"
#include "metrics/metrics.h"
#include "network/factory.h"
#include "network/modes.h"
#include "tests/support/eventually.h"
#include "tests/support/test_host.h"

namespace pinion::network {

using testing_support::Eventually;

using testing_support::Connect;
using testing_support::Reaches;
using testing_support::TestHost;

// The modes whose addresses are pinion's and that the kernel has; ipvlan in a
// program of its own, which runs in the virtual machine.
#ifdef PINION_TEST_IPVLAN
inline constexpr Options::Mode kModesWithPools[] = {Options::Mode::kIpvlan};
#else
inline constexpr Options::Mode kModesWithPools[] = {Options::Mode::kMacvlan,
                                                    Options::Mode::kBridge};
#endif

inline std::string ModeName(const testing::TestParamInfo<Options::Mode>& info) {
  return ModeText(info.param);
}

struct Pod {
  std::string id = NewId();
  TestHost host;

  AttachRequest Request() {
    return {.pod_id = id,
            .netns_fd = host.netns_fd(),
            .netns_route_socket = host.route_socket()};
  }
};

// To all nodes: a router of ten minutes, and the prefix 2001:db8:1::/64.
inline void AdvertiseRouter(TestHost& host, const std::string& device) {
  // It comes from the link-local address, which is there some time after the
  // device is up.
  ASSERT_TRUE(Eventually([&] {
    const std::string addresses =
        host.Shell("ip -6 address show scope link dev " + device);
    return addresses.find("fe80::") != std::string::npos &&
           addresses.find("tentative") == std::string::npos;
  }));
  host.Run([&device] {
    const os::UniqueFd icmp(
        socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
    const int hops = 255;
    EXPECT_EQ(setsockopt(icmp.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops,
                         sizeof(hops)),
              0);
    struct {
      nd_router_advert router;
      nd_opt_prefix_info prefix;
    } advert{};
    advert.router.nd_ra_type = ND_ROUTER_ADVERT;
    advert.router.nd_ra_router_lifetime = htons(600);
    nd_opt_prefix_info& prefix = advert.prefix;
    prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
    prefix.nd_opt_pi_len = 4;
    prefix.nd_opt_pi_prefix_len = 64;
    prefix.nd_opt_pi_flags_reserved =
        ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
    prefix.nd_opt_pi_valid_time = htonl(600);
    prefix.nd_opt_pi_preferred_time = htonl(600);
    inet_pton(AF_INET6, "2001:db8:1::", &prefix.nd_opt_pi_prefix);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    inet_pton(AF_INET6, "ff02::1", &to.sin6_addr);
    to.sin6_scope_id = if_nametoindex(device.c_str());
    EXPECT_EQ(sendto(icmp.get(), &advert, sizeof(advert), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(sizeof(advert)));
  });
}

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() {
    char name[] = "/dev/shm/pn-net-XXXXXX";
    dir_ = mkdtemp(name);
    options_.ipam_dir = dir_ + "/ipam";
  }
  ~NetworkTest() override {
    network_.reset();
    std::filesystem::remove_all(dir_);
  }

  // A network of the node's namespace, with options_.
  absl::Status Start() {
    absl::StatusOr<std::unique_ptr<PodNetwork>> made =
        absl::UnknownError("not run");
    network_.reset();
    node_.Run([&] { made = NewPodNetwork(options_, *registry_); });
    if (made.ok()) network_ = *std::move(made);
    return made.status();
  }

  // Of the only pool; "capacity", "in_use" or "cooling".
  int Addresses(const std::string& pool, const std::string& state) {
    const std::string text = registry_->Render();
    const std::string key =
        "pinion_ipam_addresses{pool=\"" + pool + "\",state=\"" + state + "\"} ";
    const size_t at = text.find(key);
    if (at == std::string::npos) return -1;
    return std::stoi(text.substr(at + key.size()));
  }

  std::string dir_;
  Options options_;
  TestHost node_;
  std::unique_ptr<metrics::Registry> registry_ = metrics::Registry::Create();
  std::unique_ptr<PodNetwork> network_;
};

}  // namespace pinion::network

#endif  // PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_
