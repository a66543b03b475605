#include "runtime/launch/process_start.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace pinion::launch {
namespace {

uint64_t Parse(const std::string& text) {
  return ParseStartTicks(text.data(), text.size());
}

TEST(ProcessStartTest, ReadsFieldTwentyTwo) {
  std::string text = "42 (sh) S";
  for (int field = 4; field <= 21; ++field) text += " 1";
  EXPECT_EQ(Parse(text + " 987654 23 24\n"), 987654u);
  EXPECT_EQ(Parse(text + " 987654"), 987654u);
}

TEST(ProcessStartTest, NameOfTheCommandCannotForgeIt) {
  std::string text = "42 (a) S 1 2 3 4) b (c) S";
  for (int field = 4; field <= 21; ++field) text += " 7";
  EXPECT_EQ(Parse(text + " 55 0"), 55u);
}

TEST(ProcessStartTest, MalformedTextIsZero) {
  for (const char* text : {"", "42", "42 (sh)", "42 (sh) S 1 2 3",
                           "1 (x) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 "}) {
    EXPECT_EQ(Parse(text), 0u) << text;
  }
}

TEST(ProcessStartTest, IsTheSameForOneProcessAndZeroForNone) {
  const uint64_t ticks = ProcessStartTicks(getpid());
  EXPECT_GT(ticks, 0u);
  EXPECT_EQ(ProcessStartTicks(getpid()), ticks);
  EXPECT_EQ(ProcessStartTicks(0x3fffffff), 0u);
}

}  // namespace
}  // namespace pinion::launch
