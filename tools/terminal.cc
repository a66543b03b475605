#include "tools/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace pinion::tools {
namespace {

// U+2588 FULL BLOCK and its left fractions, by eighths.
constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};

}  // namespace

Terminal Terminal::OfStdout() {
  Terminal terminal;
  if (isatty(STDOUT_FILENO) == 0) return terminal;
  terminal.color = getenv("NO_COLOR") == nullptr;
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) {
    terminal.width = std::min<size_t>(size.ws_col, 120);
  }
  return terminal;
}

std::string Terminal::Paint(Style style, const std::string& text) const {
  if (!color) return text;
  int code = 0;
  switch (style) {
    case Style::kPlain:
      return text;
    case Style::kBold:
      code = 1;
      break;
    case Style::kDim:
      code = 2;
      break;
    case Style::kGreen:
      code = 32;
      break;
    case Style::kYellow:
      code = 33;
      break;
    case Style::kRed:
      code = 31;
      break;
    case Style::kCyan:
      code = 36;
      break;
  }
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

size_t DisplayWidth(const std::string& text) {
  // Continuation bytes are 10xxxxxx.
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string PadRight(const std::string& text, size_t width) {
  const size_t have = DisplayWidth(text);
  return have >= width ? text : text + std::string(width - have, ' ');
}

std::string PadLeft(const std::string& text, size_t width) {
  const size_t have = DisplayWidth(text);
  return have >= width ? text : std::string(width - have, ' ') + text;
}

std::string CutMiddle(const std::string& text, size_t width) {
  std::vector<std::string> points;
  for (const char c : text) {
    if ((c & 0xc0) != 0x80 || points.empty()) points.emplace_back();
    points.back() += c;
  }
  if (points.size() <= width) return text;
  if (width == 0) return "";
  const size_t tail = (width - 1) / 2;
  const size_t head = width - 1 - tail;
  const auto end = static_cast<std::ptrdiff_t>(head);
  const auto rest = static_cast<std::ptrdiff_t>(tail);
  return absl::StrCat(absl::StrJoin(points.begin(), points.begin() + end, ""),
                      "…",
                      absl::StrJoin(points.end() - rest, points.end(), ""));
}

std::string Printable(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are controls too: C2 and a byte below A0.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) text.erase(i + 1, 1);
    if (c1 || byte < 0x20 || byte == 0x7f) text[i] = '?';
  }
  return text;
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string result;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      absl::StrAppend(&result, last ? row[i] : PadRight(row[i], widths[i] + 2));
    }
    absl::StrAppend(&result, "\n");
  }
  return result;
}

std::string Wrap(const std::string& text, size_t width, size_t indent) {
  std::string result;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) {
      absl::StrAppend(&result, std::string(indent, ' '), line, "\n");
    }
    line.clear();
  };
  const std::vector<std::string> words =
      absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (const std::string& word : words) {
    const size_t used = DisplayWidth(line) + (line.empty() ? 0 : 1);
    if (!line.empty() && indent + used + DisplayWidth(word) > width) flush();
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  flush();
  return result;
}

std::string Bar(double start, double end, size_t width) {
  const double total = static_cast<double>(width) * 8;
  const auto limit = static_cast<int64_t>(total);
  // There are no right fractions of a block: a bar begins on a whole column.
  auto first = static_cast<int64_t>(std::floor(start * total / 8)) * 8;
  first = std::clamp<int64_t>(first, 0, std::max<int64_t>(limit - 8, 0));
  auto last = static_cast<int64_t>(std::lround(end * total));
  last = std::clamp<int64_t>(last, first + 1, std::max(limit, first + 1));
  std::string result(static_cast<size_t>(first / 8), ' ');
  for (int64_t i = 0; i < (last - first) / 8; ++i) {
    absl::StrAppend(&result, kEighths[8]);
  }
  absl::StrAppend(&result, kEighths[(last - first) % 8]);
  return result;
}

std::string FormatDuration(int64_t nanoseconds) {
  const auto ns = static_cast<double>(nanoseconds);
  if (nanoseconds < 1000) return absl::StrCat(nanoseconds, " ns");
  if (nanoseconds < 1'000'000) return absl::StrFormat("%.1f µs", ns / 1e3);
  if (nanoseconds < 1'000'000'000) return absl::StrFormat("%.2f ms", ns / 1e6);
  const int64_t seconds = nanoseconds / 1'000'000'000;
  if (seconds < 60) return absl::StrFormat("%.2f s", ns / 1e9);
  if (seconds < 3600)
    return absl::StrCat(seconds / 60, "m ", seconds % 60, "s");
  if (seconds < 86400) {
    return absl::StrCat(seconds / 3600, "h ", seconds % 3600 / 60, "m");
  }
  return absl::StrCat(seconds / 86400, "d ", seconds % 86400 / 3600, "h");
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  value /= 1024;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, units[unit]);
}

std::string FormatBytesShort(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, "B");
  auto value = static_cast<double>(bytes) / 1024;
  static constexpr std::string_view kUnits = "KMGTPE";
  size_t unit = 0;
  // What would be shown as 1024.
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  const std::string number = value < 9.95 ? absl::StrFormat("%.1f", value)
                                          : absl::StrFormat("%.0f", value);
  return number + kUnits[unit];
}

}  // namespace pinion::tools
