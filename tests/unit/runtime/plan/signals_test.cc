#include "runtime/plan/signals.h"

#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

TEST(SignalsTest, ReadsNamesNumbersAndTheRealTimeRange) {
  const std::pair<const char*, int> good[] = {
      {"SIGTERM", 15},  {"term", 15},    {"15", 15},       {"KILL", 9},
      {"SIGRTMIN", 34}, {"RTMIN+3", 37}, {"SIGRTMAX", 64}, {"SIGRTMAX-1", 63},
      {"SIGWINCH", 28}, {"64", 64},      {"SIGCLD", 17}};
  for (const auto& [name, number] : good) {
    EXPECT_EQ(ParseSignal(name).value_or(-1), number) << name;
  }
}

TEST(SignalsTest, RefusesWhatIsNone) {
  for (const char* name :
       {"", "0", "65", "-9", "SIG", "SIGSIGTERM", "SIGFOO", "RTMIN+31",
        "RTMIN-1", "RTMAX+1", "RTMAX-31", "RTMIN+", "RTMIN+x", "RTMIN+ 1",
        " 15", "+15", "99999999999999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseSignal(name).status())) << name;
  }
}

TEST(SignalsTest, NamesComeBack) {
  for (int signal = 1; signal <= 64; ++signal) {
    if (signal == 32 || signal == 33) continue;  // libc's own
    EXPECT_EQ(ParseSignal(SignalName(signal)).value_or(-1), signal);
  }
}

}  // namespace
}  // namespace pinion::plan
