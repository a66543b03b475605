#include "runtime/monitor/cri_log.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

namespace pinion::monitor {
namespace {

constexpr int64_t kTime = 1'795'295'236'123'456'789;  // 2026-11-21T21:07:16…
constexpr char kStamp[] = "2026-11-21T21:07:16.123456789Z";

std::string Bytes(const LogBatch& batch) {
  std::string text;
  for (size_t i = 0; i < batch.count(); ++i) {
    text.append(static_cast<const char*>(batch.parts()[i].iov_base),
                batch.parts()[i].iov_len);
  }
  EXPECT_EQ(text.size(), batch.bytes());
  return text;
}

// Feeds `reads` one by one, as a stream would, and ends it.
std::string Log(const std::vector<std::string>& reads,
                const char* stream = "stdout") {
  CriLogFormatter formatter;
  std::string text;
  LogBatch batch;
  for (const std::string& read : reads) {
    size_t at = 0;
    while (at < read.size()) {
      batch.Start(kTime, stream);
      at += formatter.Format(read.data() + at, read.size() - at, &batch);
      text += Bytes(batch);
    }
  }
  batch.Start(kTime, stream);
  formatter.Finish(&batch);
  return text + Bytes(batch);
}

std::string Full(const std::string& text) {
  return std::string(kStamp) + " stdout F " + text + "\n";
}
std::string Partial(const std::string& text) {
  return std::string(kStamp) + " stdout P " + text + "\n";
}

const std::string kMax(kMaxLogLine, 'x');

TEST(CriLogTest, WholeLinesAreFullLines) {
  EXPECT_EQ(Log({"one\ntwo\n"}), Full("one") + Full("two"));
  EXPECT_EQ(Log({"\n\n"}), Full("") + Full(""));
  EXPECT_EQ(Log({}), "");
}

TEST(CriLogTest, StreamIsNamed) {
  EXPECT_EQ(Log({"x\n"}, "stderr"), std::string(kStamp) + " stderr F x\n");
}

TEST(CriLogTest, ALineMayArriveInPieces) {
  EXPECT_EQ(Log({"o", "n", "e", "\n"}), Full("one"));
  EXPECT_EQ(Log({"one", "\ntw", "o\nthr", "ee\n"}),
            Full("one") + Full("two") + Full("three"));
}

TEST(CriLogTest, WhatIsLeftAtTheEndIsAPartialLine) {
  EXPECT_EQ(Log({"one\ntwo"}), Full("one") + Partial("two"));
  EXPECT_EQ(Log({"tw", "o"}), Partial("two"));
}

TEST(CriLogTest, BytesAreNotInterpreted) {
  const std::string odd("a\0\xff\r\x1b[0m", 8);
  EXPECT_EQ(Log({odd + "\n"}), Full(odd));
}

TEST(CriLogTest, ALineOfExactlyTheLimitIsOneFullLine) {
  EXPECT_EQ(Log({kMax + "\n"}), Full(kMax));
  EXPECT_EQ(Log({kMax, "\n"}), Full(kMax));
  EXPECT_EQ(Log({kMax}), Partial(kMax));
}

TEST(CriLogTest, ALongerLineIsCut) {
  EXPECT_EQ(Log({kMax + "y\n"}), Partial(kMax) + Full("y"));
  EXPECT_EQ(Log({kMax, "y", "\n"}), Partial(kMax) + Full("y"));
  EXPECT_EQ(Log({kMax + kMax + kMax + "\n"}),
            Partial(kMax) + Partial(kMax) + Full(kMax));
  EXPECT_EQ(Log({kMax + kMax + "y"}),
            Partial(kMax) + Partial(kMax) + Partial("y"));
}

TEST(CriLogTest, TheCutDoesNotDependOnTheReads) {
  std::string input;
  for (int i = 0; i < 400; ++i) {
    input += std::string(static_cast<size_t>(i * i % 40'000),
                         static_cast<char>('a' + i % 26));
    input += '\n';
  }
  const std::string whole = Log({input});
  for (const size_t size : {1'000u, 16'383u, 16'384u, 16'385u, 32'768u}) {
    std::vector<std::string> reads;
    for (size_t at = 0; at < input.size(); at += size) {
      reads.push_back(input.substr(at, size));
    }
    EXPECT_EQ(Log(reads), whole) << "reads of " << size;
  }
}

TEST(CriLogTest, ABatchIsBoundedAndSaysWhereLinesStart) {
  const std::string many(10'000, '\n');
  CriLogFormatter formatter;
  LogBatch batch;
  batch.Start(kTime, "stdout");
  const size_t used = formatter.Format(many.data(), many.size(), &batch);
  EXPECT_GT(used, 0u);
  EXPECT_LT(used, many.size());
  EXPECT_LE(batch.count(), LogBatch::kMaxParts);
  EXPECT_EQ(batch.lines(), used);
  size_t starts = 0;
  for (size_t i = 0; i < batch.count(); ++i) starts += batch.IsLineStart(i);
  EXPECT_EQ(starts, used);
}

TEST(CriLogTest, TimestampsAgreeWithTheCLibrary) {
  for (int64_t seconds = 0; seconds < int64_t{8'000'000'000};
       seconds += 12'345'678) {
    const time_t time = seconds;
    tm broken = {};
    gmtime_r(&time, &broken);
    char expected[32];
    strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000001Z",
             &broken);
    char text[kTimestampLength];
    FormatTimestamp(seconds * 1'000'000'000 + 1, text);
    ASSERT_EQ(std::string(text, kTimestampLength), expected) << seconds;
  }
  // Leap days, ends of years and centuries.
  for (const int64_t day : {789, 790, 11'015, 11'016, 47'540, 47'541, 364}) {
    const time_t time = day * 86'400 + 86'399;
    tm broken = {};
    gmtime_r(&time, &broken);
    char expected[32];
    strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.999999999Z",
             &broken);
    char text[kTimestampLength];
    FormatTimestamp(int64_t{time} * 1'000'000'000 + 999'999'999, text);
    EXPECT_EQ(std::string(text, kTimestampLength), expected) << day;
  }
}

TEST(CriLogTest, AClockBeforeTheEpochIsTheEpoch) {
  char text[kTimestampLength];
  FormatTimestamp(-5, text);
  EXPECT_EQ(std::string(text, kTimestampLength),
            "1970-01-01T00:00:00.000000000Z");
}

}  // namespace
}  // namespace pinion::monitor
