#include "image/hosts_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_dir.h"

namespace pinion::image {
namespace {

absl::StatusOr<std::vector<Endpoint>> Parse(const std::string& text) {
  return ParseHostsConfig(text, "hosts.toml", "/nowhere", "r.example:5000",
                          false);
}

TEST(HostsConfigTest, MirrorsComeInTheFilesOrderThenTheServer) {
  const auto endpoints = Parse(R"(
server = "https://real.example"
[host."http://zzz.example:81"]
  capabilities = ["pull"]
[host."https://aaa.example/prefix"]
  capabilities = ["pull", "resolve", "push"]
  skip_verify = true
  [host."https://aaa.example/prefix".header]
    x-token = ["one", "two"]
    x-other = "three"
)");
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  ASSERT_EQ(endpoints->size(), 3u);
  EXPECT_EQ((*endpoints)[0].base.text, "http://zzz.example:81/v2");
  EXPECT_FALSE((*endpoints)[0].resolve);
  EXPECT_TRUE((*endpoints)[0].pull);
  EXPECT_FALSE((*endpoints)[0].origin);
  EXPECT_EQ((*endpoints)[1].base.text, "https://aaa.example/prefix/v2");
  EXPECT_TRUE((*endpoints)[1].tls.skip_verify);
  EXPECT_EQ((*endpoints)[1].headers.size(), 3u);
  EXPECT_EQ((*endpoints)[2].base.text, "https://real.example/v2");
  EXPECT_TRUE((*endpoints)[2].origin);
}

TEST(HostsConfigTest, OverridePathReplacesV2) {
  const auto endpoints = Parse(R"(
[host."https://m.example/v2/project"]
  override_path = true
)");
  ASSERT_TRUE(endpoints.ok());
  EXPECT_EQ((*endpoints)[0].base.text, "https://m.example/v2/project");
  EXPECT_EQ((*endpoints)[1].base.text, "https://r.example:5000/v2");
}

TEST(HostsConfigTest, AHostThatIsTheServerIsTheOrigin) {
  const auto endpoints = Parse(R"(
server = "https://r.example:5000"
[host."https://r.example:5000"]
  skip_verify = true
)");
  ASSERT_TRUE(endpoints.ok());
  EXPECT_TRUE((*endpoints)[0].origin);
}

TEST(HostsConfigTest, ReadsCertificatesRelativeToTheFile) {
  const testing::ScratchDir dir;
  std::ofstream(dir.path() + "/a.crt") << "A";
  std::ofstream(dir.path() + "/b.crt") << "B";
  const auto endpoints = ParseHostsConfig(R"(
ca = ["a.crt", "b.crt"]
client = [["c.pem", "c.key"]]
)",
                                          "f", dir.path(), "r.example", false);
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  EXPECT_EQ((*endpoints)[0].tls.ca_pem, "A\nB\n");
  EXPECT_EQ((*endpoints)[0].tls.client_cert_file, dir.path() + "/c.pem");
  EXPECT_EQ((*endpoints)[0].tls.client_key_file, dir.path() + "/c.key");
}

TEST(HostsConfigTest, ErrorsNameLineAndKey) {
  const struct {
    const char* text;
    const char* want;
  } cases[] = {
      {"\nserver = 3\n", "hosts.toml:2: server"},
      {"\n\nskip_verfy = true\n", "hosts.toml:3: skip_verfy: unknown key"},
      {"skip_verify = \"yes\"\n", "hosts.toml:1: skip_verify"},
      {"capabilities = [\"fly\"]\n", "unknown capability fly"},
      {"ca = \"absent.crt\"\n", "ca: open /nowhere/absent.crt"},
      {"server = \"ftp://x\"\n", "hosts.toml:1: server"},
      {"server = \"https://u:p@x\"\n", "hosts.toml:1: server"},
      {"host = 1\n", "host"},
      {"[host.\"https://x\"]\n\nservr = 1\n", "hosts.toml:3: servr"},
      {"[host.\"https://x\"]\nheader = { \"a b\" = \"c\" }\n", "header"},
      {"header = { a = \"b\\nc\" }\n", "header.a"},
      {"a = = 1\n", "hosts.toml:1:"},
      {"[[[\n", "hosts.toml: malformed"},
  };
  for (const auto& item : cases) {
    const auto endpoints = Parse(item.text);
    ASSERT_FALSE(endpoints.ok()) << item.text;
    EXPECT_NE(endpoints.status().message().find(item.want), std::string::npos)
        << endpoints.status();
  }
}

TEST(HostsConfigTest, LooksInTheHostsOwnDirectoryThenInTheDefault) {
  const testing::ScratchDir dir;
  const auto base = [&dir](const std::string& domain) {
    const auto endpoints = FindEndpoints(dir.path(), domain, false);
    return endpoints.ok() ? (*endpoints)[0].base.text
                          : std::string(endpoints.status().message());
  };
  const auto write = [&dir](const std::string& name) {
    std::filesystem::create_directories(dir.path() + "/" + name);
    std::ofstream(dir.path() + "/" + name + "/hosts.toml")
        << "[host.\"http://" + std::string(name, 0, 1) + ".example\"]\n";
  };
  EXPECT_EQ(base("r.example:5000"), "https://r.example:5000/v2");
  write("_default");
  EXPECT_NE(base("r.example:5000").find("malformed URL"), 0u);
  std::ofstream(dir.path() + "/_default/hosts.toml")
      << "[host.\"http://default.example\"]\n";
  EXPECT_EQ(base("r.example:5000"), "http://default.example/v2");
  write("r.example_5000_");
  EXPECT_EQ(base("r.example:5000"), "http://r.example/v2");
  write("r.example:5000");
  std::ofstream(dir.path() + "/r.example:5000/hosts.toml")
      << "[host.\"http://own.example\"]\n";
  EXPECT_EQ(base("r.example:5000"), "http://own.example/v2");
  EXPECT_EQ(base("other.example"), "http://default.example/v2");
}

TEST(HostsConfigTest, WithoutAFileTheRegistryItself) {
  const auto plain = FindEndpoints("", "127.0.0.1:5000", true);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ((*plain)[0].base.text, "http://127.0.0.1:5000/v2");
  EXPECT_TRUE((*plain)[0].origin);
}

}  // namespace
}  // namespace pinion::image
