#include "runtime/monitor/text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace pinion::monitor {
namespace {

TEST(FixedTextTest, CutsWhatIsTooLongAndStaysTerminated) {
  FixedText<6> text;
  EXPECT_TRUE(text.empty());
  text.Add("abc").Add("defg");
  EXPECT_EQ(text.view(), "abcde");
  EXPECT_STREQ(text.c_str(), "abcde");
  EXPECT_TRUE(text.full());
  text.Clear();
  EXPECT_STREQ(text.c_str(), "");
}

TEST(FixedTextTest, Numbers) {
  FixedText<128> text;
  text.AddNumber(0).Add(" ").AddNumber(-17).Add(" ").AddNumber(INT64_MIN);
  text.Add(" ").AddUnsigned(UINT64_MAX);
  EXPECT_EQ(text.view(), "0 -17 -9223372036854775808 18446744073709551615");
}

TEST(ParseNumberTest, WholeDecimalNumbersOnly) {
  int64_t value = 0;
  EXPECT_TRUE(ParseNumber("9223372036854775807", &value));
  EXPECT_EQ(value, INT64_MAX);
  EXPECT_TRUE(ParseNumber("-12", &value));
  EXPECT_EQ(value, -12);
  EXPECT_TRUE(ParseNumber("-9223372036854775808", &value));
  EXPECT_EQ(value, INT64_MIN);
  for (const char* text :
       {"", "-", "+1", " 1", "1 ", "1x", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999"}) {
    EXPECT_FALSE(ParseNumber(text, &value)) << text;
  }
}

}  // namespace
}  // namespace pinion::monitor
