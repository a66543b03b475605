#include "runtime/plan/signals.h"

#include <csignal>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace pinion::plan {
namespace {

// libc keeps 32 and 33 for itself; RTMIN in an image means what its libc
// says, and glibc and musl (35) differ: the common reading is glibc's.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

// Digits alone: SimpleAtoi would also take blanks and a sign.
bool ParseNumber(const std::string& text, int* number) {
  return text.find_first_not_of("0123456789") == std::string::npos &&
         absl::SimpleAtoi(text, number);
}

// `text` is what stands behind "RTMIN" or "RTMAX": "", "+3", "-1".
absl::StatusOr<int> RealTime(const std::string& text, int base, char sign) {
  int offset = 0;
  if (!text.empty() &&
      (text[0] != sign || !ParseNumber(text.substr(1), &offset))) {
    return absl::InvalidArgumentError("not a signal");
  }
  const int signal = sign == '+' ? base + offset : base - offset;
  if (offset > kRtMax || signal < kRtMin || signal > kRtMax) {
    return absl::InvalidArgumentError("not a signal");
  }
  return signal;
}

absl::StatusOr<int> Parse(std::string name) {
  int number = 0;
  if (ParseNumber(name, &number)) {
    if (number >= 1 && number <= kRtMax) return number;
    return absl::InvalidArgumentError("not a signal");
  }
  name = absl::AsciiStrToUpper(name);
  if (absl::StartsWith(name, "SIG")) name.erase(0, 3);
  if (absl::StartsWith(name, "RTMIN")) {
    return RealTime(name.substr(5), kRtMin, '+');
  }
  if (absl::StartsWith(name, "RTMAX")) {
    return RealTime(name.substr(5), kRtMax, '-');
  }
  if (name == "CLD") return SIGCHLD;
  if (name == "POLL") return SIGIO;
  if (name == "IOT") return SIGABRT;
  for (int signal = 1; signal < 32; ++signal) {
    const char* abbreviation = sigabbrev_np(signal);
    if (abbreviation != nullptr && name == abbreviation) return signal;
  }
  return absl::InvalidArgumentError("not a signal");
}

}  // namespace

absl::StatusOr<int> ParseSignal(const std::string& name) {
  absl::StatusOr<int> signal = Parse(name);
  if (signal.ok()) return signal;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown signal \"", name, "\""));
}

std::string SignalName(int signal) {
  if (signal == kRtMin) return "SIGRTMIN";
  if (signal > kRtMin && signal <= kRtMax) {
    return absl::StrCat("SIGRTMIN+", signal - kRtMin);
  }
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat(signal);
}

}  // namespace pinion::plan
