#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "daemon/config_checks.h"

namespace pinion::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ConfigKeysTest, NamesAreUnique) {
  std::set<std::string> names;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
  }
}

TEST(ConfigKeysTest, EveryDefaultIsAValueThatItsKeyAccepts) {
  for (const ConfigKey& key : ConfigKeys()) {
    Config config;
    EXPECT_TRUE(key.apply(key.show(config), &config).ok()) << key.name;
    EXPECT_EQ(ConfigJson(config), ConfigJson(Config())) << key.name;
  }
}

TEST(ConfigTest, SocketFollowsTheStateDirectory) {
  Config config;
  EXPECT_EQ(config.SocketPath(), "/run/pinion/pinion.sock");
  config.state = "/tmp/x";
  EXPECT_EQ(config.SocketPath(), "/tmp/x/pinion.sock");
  config.cri.socket = "/s";
  EXPECT_EQ(config.SocketPath(), "/s");
}

TEST(ConfigTest, ChangedKeysAreNamed) {
  Config before;
  Config after;
  EXPECT_THAT(ChangedKeys(before, after), ElementsAre());
  after.log_level = LogLevel::kDebug;
  after.network.exclude = {"10.0.0.1"};
  EXPECT_THAT(ChangedKeys(before, after),
              ElementsAre("log_level", "network.exclude"));
}

TEST(ConfigTest, OnlyTheLogLevelIsReloadable) {
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_EQ(key.reloadable, key.name == "log_level") << key.name;
  }
}

TEST(ConfigTest, JsonHasNoPassword) {
  Config config;
  config.image.https_proxy = "http://user:secret@proxy:3128";
  const std::string json = ConfigJson(config);
  EXPECT_THAT(json, Not(HasSubstr("secret")));
  EXPECT_THAT(json, HasSubstr("\"https_proxy\":\"http://***@proxy:3128\""));
  EXPECT_THAT(json, HasSubstr("\"cgroup\":{\"default_parent\":\"\","
                              "\"drift\":\"repair\",\"driver\":\"auto\""));
}

TEST(ConfigChecksTest, DeviceNames) {
  for (const char* good : {"eth0", "pinion-host", "a", "eth0.100"}) {
    EXPECT_TRUE(DeviceName(good).ok()) << good;
  }
  for (const char* bad :
       {"", ".", "..", "a b", "a/b", "sixteen-bytes-xx", "ph%d", "all"}) {
    EXPECT_FALSE(DeviceName(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, Cidrs) {
  for (const char* good :
       {"", "10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "fd00::/64",
        "10.0.0.0/24,fd00::/64", "fd00::/64,10.0.0.0/24"}) {
    EXPECT_TRUE(CidrOrEmpty(good).ok()) << good;
  }
  for (const char* bad :
       {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/31", "fd00::1/64",
        "10.0.0.0/24,", "a/24", "10.0.0.0/24,fd00::/64,10.2.0.0/24"}) {
    EXPECT_FALSE(CidrOrEmpty(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, Ranges) {
  for (const char* good :
       {"", "10.0.0.0/8", "10.0.0.5-10.0.0.9", "10.0.0.5-10.0.0.9,fd00::/64",
        "fd00::1-fd00::9", "10.0.0.0/24, fd00::/64"}) {
    EXPECT_TRUE(RangeOrEmpty(good).ok()) << good;
  }
  for (const char* bad :
       {"10.0.0.9-10.0.0.5", "10.0.0.5-", "-", "10.0.0.5-fd00::1",
        "10.0.0.1-10.0.0.2,10.0.0.0/24", "10.0.0.5"}) {
    EXPECT_FALSE(RangeOrEmpty(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, Addresses) {
  for (const char* good : {"", "10.0.0.1", "fd00::1", "10.0.0.1,fd00::1"}) {
    EXPECT_TRUE(IpAddressesOrEmpty(good).ok()) << good;
  }
  for (const char* bad : {"10.0.0", "10.0.0.1,10.0.0.2", "10.0.0.1/8", ","}) {
    EXPECT_FALSE(IpAddressesOrEmpty(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, HandlerNames) {
  for (const char* good : {"a", "kata-qemu", "x9"}) {
    EXPECT_TRUE(HandlerName(good).ok()) << good;
  }
  for (const char* bad : {"", "-a", "a-", "A", "a_b", "a.b"}) {
    EXPECT_FALSE(HandlerName(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, SysctlPatterns) {
  for (const char* good : {"net.core.somaxconn", "net.*", "kernel.msg*"}) {
    EXPECT_EQ(SysctlPattern(good).ok(), std::string(good) != "kernel.msg*")
        << good;
  }
  for (const char* bad : {"", "*", "net..core", "net/core", ".a", "+net.x"}) {
    EXPECT_FALSE(SysctlPattern(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, CgroupParents) {
  for (const char* good : {"", "pinion.slice", "a-b.slice", "/pinion"}) {
    EXPECT_TRUE(CgroupParentOrEmpty(good).ok()) << good;
  }
  for (const char* bad : {".slice", "pinion", "a/b.slice", "/../x"}) {
    EXPECT_FALSE(CgroupParentOrEmpty(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, Durations) {
  EXPECT_EQ(DurationSeconds("90s").value(), 90);
  EXPECT_EQ(DurationSeconds("5m").value(), 300);
  EXPECT_EQ(DurationSeconds("2h").value(), 7200);
  for (const char* bad : {"", "s", "5", "-1s", "1.5h", "1d", "5 s x"}) {
    EXPECT_FALSE(DurationSeconds(bad).ok()) << bad;
  }
}

TEST(ConfigChecksTest, Proxies) {
  for (const char* good : {"", "http://p:3128", "https://u:p@h", "proxy:80",
                           "socks5://127.0.0.1:1080"}) {
    EXPECT_TRUE(ProxyOrEmpty(good).ok()) << good;
  }
  for (const char* bad : {"ftp://x", "http://", "://x"}) {
    EXPECT_FALSE(ProxyOrEmpty(bad).ok()) << bad;
  }
  EXPECT_THAT(ProxyOrEmpty("ftp://u:secret@h").message(),
              Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace pinion::daemon
