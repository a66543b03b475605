#include "cri/translate_signal.h"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <string>

namespace pinion::cri {
namespace {

TEST(TranslateSignalTest, EveryNameOfTheEnumHasTheKernelsNumber) {
  // sigabbrev_np knows the classic ones; glibc's SIGRTMIN and SIGRTMAX the
  // others. Aliases it does not know.
  const std::map<std::string, int> aliases = {
      {"CLD", SIGCHLD}, {"IOT", SIGABRT}, {"IO", SIGPOLL}};
  std::map<std::string, int> numbers = aliases;
  for (int i = 1; i < 32; ++i) numbers[sigabbrev_np(i)] = i;
  int seen = 0;
  for (int value = api::Signal_MIN; value <= api::Signal_MAX; ++value) {
    const auto signal = static_cast<api::Signal>(value);
    const std::string name = api::Signal_Name(signal);
    ASSERT_EQ(name.rfind("SIGNAL_", 0), 0u) << value;
    const auto number = ToSignalNumber(Field("stop_signal"), signal);
    ASSERT_TRUE(number.ok()) << name;
    ++seen;
    if (value == api::SIGNAL_RUNTIME_DEFAULT) {
      EXPECT_EQ(*number, 0);
      continue;
    }
    const std::string word = name.substr(sizeof("SIGNAL_SIG") - 1);
    int expected = 0;
    if (word.rfind("RTMINPLUS", 0) == 0) {
      expected = SIGRTMIN + std::stoi(word.substr(9));
    } else if (word.rfind("RTMAXMINUS", 0) == 0) {
      expected = SIGRTMAX - std::stoi(word.substr(10));
    } else if (word == "RTMIN") {
      expected = SIGRTMIN;
    } else if (word == "RTMAX") {
      expected = SIGRTMAX;
    } else {
      ASSERT_EQ(numbers.count(word), 1u) << word;
      expected = numbers.at(word);
    }
    EXPECT_EQ(*number, expected) << name;
  }
  EXPECT_EQ(seen, 66);
}

TEST(TranslateSignalTest, NumbersComeBackAsTheUsualName) {
  EXPECT_EQ(FromSignalNumber(SIGTERM), api::SIGNAL_SIGTERM);
  EXPECT_EQ(FromSignalNumber(SIGCHLD), api::SIGNAL_SIGCHLD);
  EXPECT_EQ(FromSignalNumber(SIGABRT), api::SIGNAL_SIGABRT);
  EXPECT_EQ(FromSignalNumber(SIGRTMIN + 3), api::SIGNAL_SIGRTMINPLUS3);
  EXPECT_EQ(FromSignalNumber(SIGRTMAX), api::SIGNAL_SIGRTMAX);
  for (int number = 1; number <= 64; ++number) {
    if (number == 32 || number == 33) {
      EXPECT_EQ(FromSignalNumber(number), api::SIGNAL_RUNTIME_DEFAULT);
      continue;
    }
    EXPECT_EQ(*ToSignalNumber(Field("s"), FromSignalNumber(number)), number);
  }
}

TEST(TranslateSignalTest, UnknownValuesAreRefused) {
  for (const int value : {-1, 66, 1 << 30}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        ToSignalNumber(Field("stop_signal"), static_cast<api::Signal>(value))
            .status()));
  }
  EXPECT_EQ(FromSignalNumber(0), api::SIGNAL_RUNTIME_DEFAULT);
  EXPECT_EQ(FromSignalNumber(65), api::SIGNAL_RUNTIME_DEFAULT);
  EXPECT_EQ(FromSignalNumber(-1), api::SIGNAL_RUNTIME_DEFAULT);
}

}  // namespace
}  // namespace pinion::cri
