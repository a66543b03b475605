#include "runtime/plan/bandwidth.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

constexpr double kLeast = 1e3;
constexpr double kMost = 1e15;

// 0: no such suffix.
double FactorOf(absl::string_view suffix) {
  constexpr absl::string_view kPrefixes = "kMGTP";
  if (suffix.empty()) return 1;
  if (suffix == "Ki") return 1024;
  const size_t power = kPrefixes.find(suffix[0]);
  if (power == absl::string_view::npos) return 0;
  const double exponent = static_cast<double>(power) + 1;
  if (suffix.size() == 1) return std::pow(1000, exponent);
  // "ki" is none.
  if (suffix.substr(1) == "i" && power > 0) return std::pow(1024, exponent);
  return 0;
}

absl::Status ParseInto(const char* name, const std::string& text,
                       uint64_t* value) {
  if (text.empty()) return absl::OkStatus();
  absl::StatusOr<uint64_t> bits = ParseBandwidth(text);
  if (!bits.ok()) {
    return Annotate(bits.status(), absl::StrCat("annotations[", name, "]"));
  }
  *value = *bits;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> ParseBandwidth(const std::string& text) {
  size_t end = 0;
  while (end < text.size() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(text[end])) ||
          text[end] == '.')) {
    ++end;
  }
  double number = 0;
  const double factor = FactorOf(absl::string_view(text).substr(end));
  if (end > 20 || factor == 0 ||
      !absl::SimpleAtod(text.substr(0, end), &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is no number of bits per second such as 10M"));
  }
  const double bits = number * factor;
  if (bits < kLeast || bits > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not between 1k and 1P"));
  }
  return static_cast<uint64_t>(bits);
}

absl::StatusOr<Bandwidth> ParseBandwidths(const std::string& ingress,
                                          const std::string& egress) {
  Bandwidth bandwidth;
  PINION_RETURN_IF_ERROR(
      ParseInto(kIngressBandwidth, ingress, &bandwidth.ingress));
  PINION_RETURN_IF_ERROR(
      ParseInto(kEgressBandwidth, egress, &bandwidth.egress));
  return bandwidth;
}

}  // namespace pinion::plan
