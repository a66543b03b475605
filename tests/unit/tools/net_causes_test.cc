// What integration tests cannot break (the daemon would repair it), and which
// checks are made; the rest is tests/integration/daemon/net_test.cc.

#include "tools/net_causes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tools/net_render.h"

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

NetDevice Device(int index, const std::string& name, const std::string& kind) {
  NetDevice device;
  device.index = index;
  device.name = name;
  device.kind = kind;
  device.up = device.carrier = true;
  device.mtu = 1500;
  device.mac = "02:00:00:00:00:0" + std::to_string(index);
  return device;
}

// A macvlan pod of both families on lan0, everything as it should be.
NetPicture Example() {
  NetPicture picture;
  PodOnNetwork& pod = picture.pod;
  pod.id = std::string(64, 'a');
  pod.title = "test/web";
  pod.ready = true;
  pod.ips = {"10.0.0.5", "fd00::5"};
  pod.mode = "macvlan";
  pod.parent = "lan0";
  pod.host_link_name = "pinion-host";
  pod.interface_name = "eth0";
  pod.dns_servers = {"2001:db8::53"};
  picture.host.devices = {Device(2, "lan0", ""),
                          Device(3, "pinion-host", "macvlan")};
  picture.host.devices[1].addresses = {{"10.0.0.1", 32}, {"fd00::1", 128}};
  picture.inside.devices = {Device(4, "eth0", "macvlan")};
  picture.inside.devices[0].link_index = 2;
  picture.inside.devices[0].link_elsewhere = true;
  picture.inside.devices[0].addresses = {{"10.0.0.5", 24}, {"fd00::5", 64}};
  picture.inside.routes = {{"default", "10.0.0.254", "eth0", "", ""},
                           {"default", "fd00::1", "eth0", "", ""}};
  return picture;
}

NetCheck Failed(NetCheck::Kind kind, const std::string& target,
                const Way& way) {
  NetCheck check;
  check.kind = kind;
  check.target = target;
  check.way = way;
  check.outcome.error = ETIMEDOUT;
  return check;
}

std::string CauseOf(NetPicture picture, const NetCheck& check) {
  picture.checks.push_back(check);
  ExplainFailures(&picture);
  return picture.checks.back().cause;
}

const NetCheck kToPod = Failed(NetCheck::Kind::kHostToPod, "10.0.0.5",
                               {"pinion-host", "10.0.0.5", "10.0.0.1"});

TEST(NetCausesTest, HostLinkDown) {
  NetPicture picture = Example();
  picture.host.devices[1].up = false;
  EXPECT_THAT(CauseOf(picture, kToPod),
              HasSubstr("the host link pinion-host is down"));
}

TEST(NetCausesTest, SaysThatItDoesNotKnow) {
  EXPECT_EQ(CauseOf(Example(), kToPod),
            "no answer, and nothing that explains it");
  NetCheck odd = kToPod;
  odd.outcome.error = ENOBUFS;
  EXPECT_EQ(CauseOf(Example(), odd), "the kernel says ENOBUFS");
}

TEST(NetCausesTest, ForwardingOfIpv6IsItsOwnSetting) {
  NetPicture picture = Example();
  picture.host.forwards_ipv4 = true;
  const NetCheck dns = Failed(NetCheck::Kind::kDnsUdp, "2001:db8::53",
                              {"eth0", "fd00::1", "fd00::5"});
  EXPECT_THAT(CauseOf(picture, dns),
              HasSubstr("net.ipv6.conf.all.forwarding is 0"));
  picture.host.forwards_ipv6 = true;
  picture.host.chains = {{"ip filter FORWARD", "forward", true, false, true}};
  EXPECT_THAT(CauseOf(picture, dns), HasSubstr("no answer comes back"));
  picture.host.chains[0].ipv6 = true;
  EXPECT_THAT(CauseOf(picture, dns), HasSubstr("chain ip filter FORWARD"));
}

TEST(NetCausesTest, WhatWorksHasNoCause) {
  NetCheck fine = kToPod;
  fine.outcome.ok = true;
  EXPECT_EQ(CauseOf(Example(), fine), "");
}

TEST(NetChecksTest, PlansEveryAddressGatewayAndServer) {
  const NetPicture picture = Example();
  const auto checks =
      PlanChecks(picture.pod, picture.inside, {"10.0.0.1", "fd00::1"});
  std::vector<std::string> names;
  for (const NetCheck& check : checks) {
    names.push_back(std::string(CheckName(check.kind)) + " " + check.target);
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(
                         "host to pod 10.0.0.5", "host to pod fd00::5",
                         "no duplicate 10.0.0.5", "pod to host 10.0.0.1",
                         "pod to host fd00::1", "full packets 10.0.0.1",
                         "full packets fd00::1", "gateway 10.0.0.254",
                         "full packets 10.0.0.254", "DNS over UDP 2001:db8::53",
                         "DNS over TCP 2001:db8::53"));
}

TEST(NetRenderTest, ExitCodeAndWords) {
  NetPicture picture = Example();
  picture.checks = {kToPod};
  picture.checks[0].outcome.ok = true;
  EXPECT_EQ(NetworkExitCode(picture), 0);
  EXPECT_THAT(RenderNetwork(picture, Terminal()), Not(HasSubstr("FAIL")));
  picture.checks[0].outcome.ok = false;
  picture.checks[0].outcome.error = EHOSTUNREACH;
  ExplainFailures(&picture);
  EXPECT_EQ(NetworkExitCode(picture), 1);
  EXPECT_THAT(RenderNetwork(picture, Terminal()), HasSubstr("EHOSTUNREACH"));
  picture.checks.clear();
  picture.pod.ready = false;
  EXPECT_EQ(NetworkExitCode(picture), 1);
}

TEST(NetnsViewTest, CountsWhatRpFilterDropped) {
  EXPECT_EQ(ReversePathDrops("TcpExt: SyncookiesSent IPReversePathFilter X\n"
                             "TcpExt: 1 42 3\nIpExt: A B\nIpExt: 7 8\n"),
            42U);
  EXPECT_EQ(ReversePathDrops("TcpExt: IPReversePathFilter\nIpExt: 5\n"), 0U);
  EXPECT_EQ(ReversePathDrops("TcpExt: IPReversePathFilter\nTcpExt: x\n"), 0U);
  EXPECT_EQ(ReversePathDrops(""), 0U);
}

TEST(PlainNameTest, LeavesNothingThatATerminalOrShellTakesForMore) {
  EXPECT_EQ(PlainName("eth0.100@if7"), "eth0.100@if7");
  EXPECT_EQ(PlainName("br-lan_1"), "br-lan_1");
  EXPECT_EQ(PlainName("a;reboot;"), "a?reboot?");
  EXPECT_EQ(PlainName("\033[2J$(x)`'\""), "??2J??x????");
}

}  // namespace
}  // namespace pinion::tools
