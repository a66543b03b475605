#include "tools/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CommandLineTest, FlagsMayStandAnywhere) {
  const auto line = ParseCommandLine(
      {"--state", "/s", "timeline", "--json", "abc", "--socket=/x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, "timeline");
  EXPECT_THAT(line->arguments, ElementsAre("abc"));
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->state, "/s");
  EXPECT_EQ(line->socket, "/x");
}

TEST(CommandLineTest, EverythingAfterTwoDashesIsAnArgument) {
  const auto line = ParseCommandLine({"image", "import", "--", "--json"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->arguments, ElementsAre("import", "--json"));
  EXPECT_FALSE(line->json);
}

TEST(CommandLineTest, RefusesUnknownFlagsAndMissingValues) {
  EXPECT_THAT(ParseCommandLine({"ips", "--josn"}).status().message(),
              HasSubstr("unknown flag --josn"));
  EXPECT_THAT(ParseCommandLine({"ips", "--state"}).status().message(),
              HasSubstr("--state needs a value"));
  EXPECT_FALSE(ParseCommandLine({"--json=yes"}).ok());
}

TEST(CommandLineTest, NothingIsACommandToo) {
  EXPECT_EQ(ParseCommandLine({})->command, "");
}

TEST(CommandLineTest, UsageNamesEveryCommandAndFlag) {
  for (const char* word :
       {"doctor", "ips", "timeline", "image import", "demo", "--json",
        "--config", "--root", "--state", "--socket", "--image", "--keep", "top",
        "--containers", "-c", "--sort", "--interval", "--once"}) {
    EXPECT_THAT(UsageText(), HasSubstr(word));
  }
}

}  // namespace
}  // namespace pinion::tools
