#include "cri/translate_dns.h"

#include "tests/unit/cri/translate_cases.h"

namespace pinion::cri {
namespace {

absl::StatusOr<state::DnsConfig> Dns(const api::DNSConfig& in) {
  return ToDns(Field("dns_config"), in);
}

absl::StatusOr<state::PortMapping> Port(const api::PortMapping& in) {
  return ToPortMapping(Field("port"), in);
}

TEST(CheckHostnameTest, FollowsRfc1123AndHostNameMax) {
  const Field field("hostname");
  for (const std::string good :
       {"", "a", "web-0", "3com", "web-0.shop.svc", "WEB"}) {
    EXPECT_TRUE(CheckHostname(field, good).ok()) << good;
  }
  EXPECT_TRUE(CheckHostname(field, std::string(63, 'a')).ok());
  EXPECT_TRUE(CheckHostname(field, std::string(62, 'a') + ".b").ok());
  for (const std::string bad : {"-a", "a-", "a..b", ".a", "a.", "a_b", "a b",
                                "a/b", "a\nb", "\xC3\xBC"}) {
    EXPECT_FALSE(CheckHostname(field, bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckHostname(field, std::string(64, 'a')).ok());
  EXPECT_FALSE(CheckHostname(field, std::string(62, 'a') + ".bc").ok());
  EXPECT_FALSE(CheckHostname(field, std::string("a\0b", 3)).ok());
}

TEST(ToDnsTest, NothingMayBringALineOfItsOwn) {
  api::DNSConfig valid;
  valid.add_servers("10.96.0.10");
  valid.add_searches("cluster.local");
  valid.add_options("ndots:5");
  ExpectRefused<api::DNSConfig>(
      valid, Dns,
      {
          {"servers[0] \"dns\"", [](auto& d) { d.set_servers(0, "dns"); }},
          {"servers[0]",
           [](auto& d) { d.set_servers(0, "1.1.1.1\nnameserver 6.6.6.6"); }},
          {"servers 4",
           [](auto& d) {
             for (int i = 0; i < 3; ++i) d.add_servers("10.0.0.1");
           }},
          {"searches[0]: must not be empty",
           [](auto& d) { d.set_searches(0, ""); }},
          {"searches[0]", [](auto& d) { d.set_searches(0, "a b"); }},
          {"searches[0]", [](auto& d) { d.set_searches(0, "a\nb"); }},
          {"searches[0]",
           [](auto& d) { d.set_searches(0, std::string(254, 'a')); }},
          {"searches 33",
           [](auto& d) {
             for (int i = 0; i < 32; ++i) d.add_searches("a");
           }},
          {"must have at most 2048 bytes",
           [](auto& d) {
             for (int i = 0; i < 9; ++i) d.add_searches(std::string(250, 'a'));
           }},
          {"options[0]", [](auto& d) { d.set_options(0, "a\n"); }},
          {"options",
           [](auto& d) {
             for (int i = 0; i < 64; ++i) d.add_options("a");
           }},
      });
}

TEST(ToPortMappingTest, ChecksRangesAndProtocol) {
  api::PortMapping valid;
  valid.set_container_port(80);
  valid.set_host_port(8080);
  valid.set_host_ip("127.0.0.1");
  ExpectRefused<api::PortMapping>(
      valid, Port,
      {
          {"container_port 0", [](auto& p) { p.set_container_port(0); }},
          {"container_port -1", [](auto& p) { p.set_container_port(-1); }},
          {"container_port 65536",
           [](auto& p) { p.set_container_port(65536); }},
          {"host_port -1", [](auto& p) { p.set_host_port(-1); }},
          {"host_port 65536", [](auto& p) { p.set_host_port(65536); }},
          {"host_ip \"localhost\"",
           [](auto& p) { p.set_host_ip("localhost"); }},
          {"protocol 7",
           [](auto& p) { p.set_protocol(static_cast<api::Protocol>(7)); }},
      });
}

TEST(ToPortMappingTest, HostPortZeroMeansNone) {
  api::PortMapping port;
  port.set_protocol(api::SCTP);
  const auto out = ToPortMapping(Field("port"), port);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->protocol(), state::PortMapping::SCTP);
  EXPECT_EQ(out->host_port(), 0u);
}

}  // namespace
}  // namespace pinion::cri
