#include "daemon/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace pinion::daemon {
namespace {

using ::testing::HasSubstr;

TEST(FlagsTest, BothSpellings) {
  const auto flags =
      ParseFlags({"--root", "/a", "--state=/b", "--check-config"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->values.at("root"), "/a");
  EXPECT_EQ(flags->values.at("state"), "/b");
  EXPECT_TRUE(flags->check_config);
  EXPECT_FALSE(flags->help);
}

TEST(FlagsTest, RejectsWhatItDoesNotKnow) {
  EXPECT_THAT(ParseFlags({"--rooot", "/a"}).status().message(),
              HasSubstr("unknown argument --rooot"));
  EXPECT_THAT(ParseFlags({"file"}).status().message(),
              HasSubstr("unknown argument file"));
  EXPECT_THAT(ParseFlags({"--root"}).status().message(),
              HasSubstr("--root needs a value"));
}

TEST(FlagsTest, HelpNamesEveryFlag) {
  for (const char* flag :
       {"--config", "--root", "--state", "--socket", "--metrics-address",
        "--log-level", "--check-config", "--version", "--help"}) {
    EXPECT_THAT(HelpText(), HasSubstr(flag));
  }
}

TEST(LoadConfigTest, FlagsBeatFiles) {
  const auto flags = ParseFlags({"--config", "deploy/pinion.toml", "--state",
                                 "/tmp/s", "--log-level", "error"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  const auto config = LoadConfig(*flags);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state, "/tmp/s");
  EXPECT_EQ(config->log_level, LogLevel::kError);
  EXPECT_EQ(config->origins.at("state"), "--state");
  EXPECT_EQ(config->cri.socket, "/tmp/s/pinion.sock");
}

TEST(LoadConfigTest, ErrorNamesTheFlag) {
  const auto flags = ParseFlags(
      {"--config=deploy/pinion.toml", "--metrics-address", "nowhere"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_THAT(LoadConfig(*flags).status().message(),
              HasSubstr("--metrics-address: must be ADDRESS:PORT"));
}

TEST(LoadConfigTest, SocketUnderALongStateDirectoryIsRefused) {
  const auto flags = ParseFlags(
      {"--config=deploy/pinion.toml", "--state", "/" + std::string(100, 'x')});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_THAT(LoadConfig(*flags).status().message(),
              HasSubstr("cri.socket: must be at most 103 bytes long"));
}

}  // namespace
}  // namespace pinion::daemon
