#include "daemon/config_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "os/file.h"

namespace pinion::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  Config config;
  const absl::Status status = ApplyToml(text, "p.toml", &config);
  return std::string(status.message());
}

TEST(ApplyTomlTest, EmptyFileIsValid) {
  Config config;
  EXPECT_TRUE(ApplyToml("", "p.toml", &config).ok());
  EXPECT_EQ(ConfigJson(config), ConfigJson(Config()));
}

TEST(ApplyTomlTest, ReadsEveryKindOfValue) {
  Config config;
  const absl::Status status = ApplyToml(R"(
root = "/srv/pinion"
log_level = "debug"
log_format = "json"
[cri]
max_calls = 100
[cgroup]
driver = "cgroupfs"
missing_controllers = "ignore"
[network]
range = "10.9.0.0/24,fd00:9::/64"
exclude = ["10.9.0.1", "10.9.0.8/30", "10.9.0.20-10.9.0.30"]
cool_down = "5m"
[runtime]
seccomp_default = true
)",
                                        "p.toml", &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.root, "/srv/pinion");
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.cri.max_calls, 100);
  EXPECT_EQ(config.cgroup.driver, CgroupDriverChoice::kCgroupfs);
  EXPECT_TRUE(config.cgroup.ignore_missing_controllers);
  EXPECT_EQ(config.network.range, "10.9.0.0/24,fd00:9::/64");
  EXPECT_THAT(config.network.exclude,
              ElementsAre("10.9.0.1", "10.9.0.8/30", "10.9.0.20-10.9.0.30"));
  EXPECT_EQ(config.network.cool_down, std::chrono::minutes(5));
  EXPECT_TRUE(config.runtime.seccomp_default);
  EXPECT_EQ(config.origins.at("network.range"), "p.toml:11");
}

TEST(ApplyTomlTest, SecondaryNetworksAreMergedKeyByKey) {
  Config config;
  ASSERT_TRUE(ApplyToml(R"(
[network]
range = "10.9.0.0/24"
[network.secondary.storage]
parent = "eth1"
vlan = 100
range = "10.1.0.0/24"
routes = ["10.5.0.0/16", "fd05::/16 via fd01::1"]
[network.secondary.ran-0]
parent = "eth2"
)",
                        "p.toml", &config)
                  .ok());
  ASSERT_TRUE(
      ApplyToml("[network.secondary.storage]\nvlan = 200\n", "d.toml", &config)
          .ok());
  ASSERT_EQ(config.network.secondary.size(), 2u);
  const SecondaryNetworkConfig& storage =
      config.network.secondary.at("storage");
  EXPECT_EQ(storage.parent, "eth1");
  EXPECT_EQ(storage.vlan, 200);
  EXPECT_THAT(storage.routes,
              ElementsAre("10.5.0.0/16", "fd05::/16 via fd01::1"));
  EXPECT_EQ(config.origins.at("network.secondary.storage.vlan"), "d.toml:2");
  EXPECT_THAT(ConfigJson(config), HasSubstr("\"ran-0\":{"));
  Config after = config;
  after.network.secondary.erase("ran-0");
  EXPECT_THAT(ChangedKeys(config, after),
              ElementsAre("network.secondary.ran-0.parent"));
}

struct BadCase {
  const char* text;
  const char* error;
};

class BadConfigTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfigTest, NamesFileLineAndKey) {
  EXPECT_THAT(ErrorOf(GetParam().text), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfigTest,
    testing::Values(
        BadCase{"\nroots = \"/x\"",
                "p.toml:2: roots: unknown key; did you mean root?"},
        BadCase{"[network]\n\nrnage = \"10.0.0.0/24\"",
                "p.toml:3: network.rnage: unknown key; did you mean "
                "network.range?"},
        BadCase{"parent = \"eth1\"",
                "p.toml:1: parent: unknown key; did you mean network.parent?"},
        BadCase{"zzzzzzzzzzz = 1", "p.toml:1: zzzzzzzzzzz: unknown key"},
        BadCase{"[netwrok]\n", "p.toml:1: [netwrok]: unknown section"},
        BadCase{"[network.macvlan]\nx = 1", "network.macvlan: unknown key"},
        BadCase{"network = 3", "p.toml:1: network: unknown key"},
        BadCase{"[network]\nsecondary = 3",
                "p.toml:2: network.secondary: must be tables"},
        BadCase{"[network.secondary]\nstorage = 3",
                "network.secondary: must be tables"},
        BadCase{"[network.secondary.Storage]\nvlan = 3",
                "p.toml:1: [network.secondary.…]: the name must be"},
        BadCase{"[network.secondary.a]\n\nvlna = 3",
                "p.toml:3: network.secondary.a.vlna: unknown key; did you "
                "mean network.secondary.a.vlan?"},
        BadCase{"[network.secondary.a]\nvlan = 4095",
                "p.toml:2: network.secondary.a.vlan: must be an integer from "
                "0 to 4094"},
        BadCase{"[network.secondary.a]\nroutes = [\"10.0.0.0/8 via fd00::1\"]",
                "network.secondary.a.routes: each item: must be a prefix"},
        BadCase{"[network.secondary.a]\nmacvlan_mode = \"passthru\"",
                "macvlan_mode: must be one of \"bridge\""},
        BadCase{"[network]\nmodes = [\"bridge\", \"vxlan\"]",
                "p.toml:2: network.modes: each item: must be macvlan, ipvlan, "
                "bridge, cni or none"},
        BadCase{
            "[network]\nipvlan_mode = \"l3\"",
            "p.toml:2: network.ipvlan_mode: must be one of \"l2\", \"l3s\""},
        BadCase{"root = 5", "p.toml:1: root: must be a string"},
        BadCase{"root = 1.5", "p.toml:1: root: must look like \"/var/lib"},
        BadCase{"root = \"x\"", "p.toml:1: root: must be an absolute path"},
        BadCase{"root = \"/a/../b\"", "root: must be an absolute path"},
        BadCase{"log_level = \"loud\"",
                "log_level: must be one of \"debug\", \"info\", \"warning\", "
                "\"error\", not \"loud\""},
        BadCase{"[cri]\nmax_calls = 1",
                "p.toml:2: cri.max_calls: must be an integer from 16 to 65536"},
        BadCase{"[cri]\nmax_calls = \"100\"", "must be an integer from 16"},
        BadCase{"[metrics]\naddress = \"localhost:1\"",
                "metrics.address: must be ADDRESS:PORT"},
        BadCase{"[network]\nrange = \"10.0.0.1/24\"",
                "network.range: \"10.0.0.1/24\" has host bits set; is "},
        BadCase{"[network]\nrange = \"10.0.0.0/24,10.1.0.0/24\"",
                "has two IPv4 ranges"},
        BadCase{"[network]\nrange = \"127.0.0.0/24\"",
                "127.0.0.0/24 has addresses of 127.0.0.0/8 (loopback)"},
        BadCase{"[network]\nrange = \"224.0.0.0/24\"",
                "of 224.0.0.0/4 (multicast)"},
        BadCase{"[network]\nrange = \"0.0.0.0/24\"",
                "of 0.0.0.0/8 (\"this network\")"},
        BadCase{"[network]\nrange = \"10.0.0.1-240.0.0.1\"",
                "of 127.0.0.0/8 (loopback)"},
        BadCase{"[network]\nrange = \"::/120\"", "of ::/64 (loopback"},
        BadCase{"[network]\nrange = \"ff02::/120\"", "of ff00::/8 (multicast)"},
        BadCase{"[network]\nrange = \"fe80::/64\"", "(link-local)"},
        BadCase{"[network]\nrange = \"0.0.0.0/0\"",
                "network.range: 0.0.0.0/0 has addresses of"},
        BadCase{"[network]\nrange = \"10.0.0.9\"",
                "\"10.0.0.9\" is one address; a range of one is 10.0.0.9/32"},
        BadCase{"[network]\nrange = \"10.0.0.9-10.0.0.1\"",
                "its end is before its start"},
        BadCase{"[network]\ninterface_name = \"lo\"",
                "network.interface_name: must be another device"},
        BadCase{"[network]\nexclude = \"10.0.0.1\"",
                "network.exclude: must be a list of strings"},
        BadCase{"[network]\nexclude = [\"10.0.0.9-10.0.0.1\"]",
                "network.exclude: each item: must be an address"},
        BadCase{"[network]\nexclude = [1]", "network.exclude: must look like"},
        BadCase{"[network]\ncool_down = \"60\"",
                "must be a duration with its unit"},
        BadCase{"[network]\ncool_down = \"25h\"", "at most 86400s"},
        BadCase{"[network]\nhost_link_name = \"a-very-long-name\"",
                "is no name of a network device"},
        BadCase{"[image]\ninsecure_registries = [\"http://x\"]",
                "must be HOST or HOST:PORT"},
        BadCase{"[runtime]\nseccomp_default = \"yes\"",
                "must be true or false"},
        BadCase{"root = \"/a\"\nroot = \"/b\"", "p.toml:2: no valid TOML"},
        BadCase{"[network\n", "p.toml:1: no valid TOML"},
        BadCase{"schl\xc3\xbcssel = 1\n", "p.toml:1: no valid TOML"},
        BadCase{"\n\xef\xbb\xb7 = 1\n", "p.toml:2: no valid TOML"}));

class ConfigFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pn-daemon-config-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/pinion.toml";
  }
  void TearDown() override {
    EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, directory_).ok());
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(os::MakeDirs(directory_ + "/pinion.conf.d", 0755).ok());
    ASSERT_TRUE(
        os::ReplaceFileAt(AT_FDCWD, directory_ + "/" + name, text, 0644).ok());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ConfigFilesTest, DropInsOverrideInNameOrder) {
  Write("pinion.toml", "root = \"/main\"\nstate = \"/main\"\n");
  Write("pinion.conf.d/20-b.toml", "root = \"/b\"\n[image]\npinned = [\"b\"]");
  Write(
      "pinion.conf.d/10-a.toml",
      "root = \"/a\"\nlog_level = \"debug\"\n[image]\npinned = [\"a\", \"x\"]");
  Write("pinion.conf.d/30-c.toml.bak", "nonsense");
  Config config;
  const absl::Status status = ReadConfigFiles(path_, false, &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.root, "/b");
  EXPECT_EQ(config.state, "/main");
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_THAT(config.image.pinned, ElementsAre("b"));
  EXPECT_THAT(config.origins.at("root"), EndsWith("20-b.toml:1"));
}

TEST_F(ConfigFilesTest, ErrorInDropInNamesIt) {
  Write("pinion.conf.d/10-a.toml", "\n\nrooot = \"/a\"\n");
  Config config;
  EXPECT_THAT(ReadConfigFiles(path_, true, &config).message(),
              HasSubstr("pinion.conf.d/10-a.toml:3: rooot: unknown key"));
}

TEST_F(ConfigFilesTest, MissingFileOnlyIfOptional) {
  Config config;
  EXPECT_TRUE(ReadConfigFiles(path_, true, &config).ok());
  const absl::Status status = ReadConfigFiles(path_, false, &config);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(path_));
}

}  // namespace
}  // namespace pinion::daemon
