// Output for people: aligned tables, bars, colours where there is a terminal.
//
// Thread-safe (plain values and pure functions).

#ifndef PINION_TOOLS_TERMINAL_H_
#define PINION_TOOLS_TERMINAL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pinion::tools {

enum class Style { kPlain, kBold, kDim, kGreen, kYellow, kRed, kCyan };

struct Terminal {
  bool color = false;
  // Columns to fill; bars and wrapped text adapt.
  size_t width = 80;

  // Of standard output: colour only on a terminal, and not with NO_COLOR.
  static Terminal OfStdout();

  std::string Paint(Style style, const std::string& text) const;
};

// Columns that `text` takes: UTF-8 code points (no wide characters are used).
size_t DisplayWidth(const std::string& text);

// `text` with blanks up to `width` columns.
std::string PadRight(const std::string& text, size_t width);
std::string PadLeft(const std::string& text, size_t width);

// `text` in at most `width` columns: its head and tail with "…" between them.
std::string CutMiddle(const std::string& text, size_t width);

// `text` with '?' for bytes that would move the cursor or more: names are what
// a user chose.
std::string Printable(std::string text);

// Rows of cells as lines, columns aligned, two blanks between; the last
// column is not padded.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// `text` in lines of at most `width` columns, broken at blanks, each with
// `indent` blanks in front.
std::string Wrap(const std::string& text, size_t width, size_t indent);

// A bar from `start` to `end`, both in 0..1, on an axis of `width` columns, in
// eighths of a column; at least an eighth is drawn.
std::string Bar(double start, double end, size_t width);

// "350 ns", "12.5 µs", "2.31 ms", "1.20 s", "3m 20s", "2h 5m", "3d 4h".
std::string FormatDuration(int64_t nanoseconds);

// "512 B", "3.4 MiB".
std::string FormatBytes(uint64_t bytes);
// The same in five columns: "512B", "3.4M", "128M", "1023K".
std::string FormatBytesShort(uint64_t bytes);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_TERMINAL_H_
