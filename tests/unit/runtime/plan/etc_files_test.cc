#include "runtime/plan/etc_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using testing::HasSubstr;

TEST(EtcFilesTest, ResolvConfInTheOrderOfTheRequest) {
  ResolverConfig config;
  config.servers = {"10.96.0.10", "fd00::a", "fe80::1%eth0"};
  config.searches = {"default.svc.cluster.local", "cluster.local"};
  config.options = {"ndots:5", "edns0"};
  EXPECT_EQ(ResolvConf(config).value(),
            "search default.svc.cluster.local cluster.local\n"
            "nameserver 10.96.0.10\nnameserver fd00::a\n"
            "nameserver fe80::1%eth0\noptions ndots:5 edns0\n");
  EXPECT_EQ(ResolvConf({}).value(), "");
}

TEST(EtcFilesTest, NothingBreaksOutOfItsLine) {
  ResolverConfig config;
  config.servers = {"10.0.0.1\nnameserver 6.6.6.6"};
  EXPECT_TRUE(absl::IsInvalidArgument(ResolvConf(config).status()));
  config.servers = {"fe80::1%eth0\nnameserver 6.6.6.6"};
  EXPECT_TRUE(absl::IsInvalidArgument(ResolvConf(config).status()));
  config.servers = {"dns.example"};
  EXPECT_TRUE(absl::IsInvalidArgument(ResolvConf(config).status()));
  config = {};
  config.searches = {"a b"};
  EXPECT_TRUE(absl::IsInvalidArgument(ResolvConf(config).status()));
  config = {};
  config.options = {""};
  EXPECT_TRUE(absl::IsInvalidArgument(ResolvConf(config).status()));
}

TEST(EtcFilesTest, HostnameIsOneWord) {
  EXPECT_EQ(HostnameFile("web-0").value(), "web-0\n");
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\nb"),
        std::string(65, 'x'), std::string("a/b")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(HostnameFile(bad).status())) << bad;
  }
}

TEST(EtcFilesTest, HostsNamesThePodForEachOfItsAddresses) {
  const std::string text = HostsFile("web-0", {"10.1.0.7", "fd00::7"}).value();
  EXPECT_THAT(text, HasSubstr("127.0.0.1\tlocalhost\n"));
  EXPECT_THAT(text, HasSubstr("10.1.0.7\tweb-0\nfd00::7\tweb-0\n"));
  EXPECT_FALSE(HostsFile("web", {"nope"}).ok());
}

}  // namespace
}  // namespace pinion::plan
