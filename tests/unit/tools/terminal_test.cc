#include "tools/terminal.h"

#include <gtest/gtest.h>

namespace pinion::tools {
namespace {

TEST(TerminalTest, PaintsOnlyWithColour) {
  EXPECT_EQ(Terminal().Paint(Style::kRed, "x"), "x");
  const Terminal colourful = {.color = true, .width = 80};
  EXPECT_EQ(colourful.Paint(Style::kRed, "x"), "\033[31mx\033[0m");
  EXPECT_EQ(colourful.Paint(Style::kPlain, "x"), "x");
}

TEST(TerminalTest, WidthCountsCharacters) {
  EXPECT_EQ(DisplayWidth("12.5 µs"), 7U);
  EXPECT_EQ(PadRight("µs", 4), "µs  ");
  EXPECT_EQ(PadLeft("µs", 4), "  µs");
  EXPECT_EQ(PadLeft("abcde", 4), "abcde");
}

TEST(TableTest, AlignsColumns) {
  EXPECT_EQ(Table({{"A", "B", "C"}, {"long", "µ", "c"}, {"x"}}),
            "A     B  C\n"
            "long  µ  c\n"
            "x\n");
}

TEST(WrapTest, BreaksAtBlanksAndIndents) {
  EXPECT_EQ(Wrap("one two three four", 11, 2), "  one two\n  three\n  four\n");
  EXPECT_EQ(Wrap("unbreakable", 5, 1), " unbreakable\n");
  EXPECT_EQ(Wrap("", 10, 2), "");
}

TEST(BarTest, CoversItsShare) {
  EXPECT_EQ(Bar(0, 1, 4), "████");
  EXPECT_EQ(Bar(0.5, 1, 4), "  ██");
  EXPECT_EQ(Bar(0, 0.5, 4), "██");
  EXPECT_EQ(Bar(0, 0.125, 4), "▌");
}

TEST(BarTest, AlwaysShowsSomethingWithinTheAxis) {
  EXPECT_EQ(Bar(0, 0, 4), "▏");
  EXPECT_EQ(Bar(1, 1, 4), "   █");
  EXPECT_EQ(Bar(0.9999, 1, 4), "   █");
}

TEST(FormatTest, Durations) {
  EXPECT_EQ(FormatDuration(0), "0 ns");
  EXPECT_EQ(FormatDuration(999), "999 ns");
  EXPECT_EQ(FormatDuration(12'500), "12.5 µs");
  EXPECT_EQ(FormatDuration(2'310'000), "2.31 ms");
  EXPECT_EQ(FormatDuration(1'200'000'000), "1.20 s");
  EXPECT_EQ(FormatDuration(200'000'000'000), "3m 20s");
  EXPECT_EQ(FormatDuration(7'500'000'000'000), "2h 5m");
  EXPECT_EQ(FormatDuration(273'600'000'000'000), "3d 4h");
}

TEST(FormatTest, Bytes) {
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{5} << 30), "5.0 GiB");
}

TEST(TerminalTest, CutsInTheMiddleByCharacters) {
  EXPECT_EQ(CutMiddle("abcdef", 6), "abcdef");
  EXPECT_EQ(CutMiddle("abcdefg", 6), "abc…fg");
  EXPECT_EQ(CutMiddle("äöüßéàè", 6), "äöü…àè");
  EXPECT_EQ(CutMiddle("abc", 1), "…");
  EXPECT_EQ(CutMiddle("abc", 0), "");
}

TEST(TerminalTest, ShortBytesTakeFiveColumns) {
  EXPECT_EQ(FormatBytesShort(0), "0B");
  EXPECT_EQ(FormatBytesShort(1023), "1023B");
  EXPECT_EQ(FormatBytesShort(1024), "1.0K");
  EXPECT_EQ(FormatBytesShort(uint64_t{10} << 10), "10K");
  EXPECT_EQ(FormatBytesShort((uint64_t{1} << 20) - 1), "1.0M");
  EXPECT_EQ(FormatBytesShort(uint64_t{3} << 30), "3.0G");
  EXPECT_EQ(FormatBytesShort(UINT64_MAX), "16E");
}

}  // namespace
}  // namespace pinion::tools
