#include "runtime/cgroup/drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::cgroup {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(SameLimitTest, ComparesWhatTheKernelShows) {
  EXPECT_TRUE(SameLimit("67108864\n", "67108864\n"));
  EXPECT_TRUE(SameLimit("67108864", "67108864\n"));
  EXPECT_TRUE(SameLimit("\n", ""));
  EXPECT_FALSE(SameLimit("max 100000\n", "max 50000\n"));
  EXPECT_FALSE(SameLimit("0-1\n", "\n"));
  EXPECT_FALSE(SameLimit("\n", "0-1\n"));
  EXPECT_TRUE(
      SameLimit("8:0 rbps=1\n8:16 rbps=2\n", "8:16 rbps=2\n8:0 rbps=1\n"));
  EXPECT_FALSE(SameLimit("8:0 rbps=1\n", "8:0 rbps=1\n8:16 rbps=2\n"));
}

TEST(RepairWritesTest, OneValueIsWrittenAsItWas) {
  EXPECT_THAT(RepairWrites("memory.high", "4096\n", "max\n"),
              ElementsAre("4096"));
  EXPECT_THAT(RepairWrites("cpu.max", "max 100000\n", "1000 100000\n"),
              ElementsAre("max 100000"));
  // An empty write is none.
  EXPECT_THAT(RepairWrites("cpuset.cpus", "\n", "0\n"), ElementsAre("\n"));
}

TEST(RepairWritesTest, KeyedFilesLineByLine) {
  const char* held = "8:0 rbps=1 wbps=max\n8:16 rbps=2 wbps=max\n";
  EXPECT_THAT(RepairWrites("io.max", held, held), IsEmpty());
  // Changed.
  EXPECT_THAT(RepairWrites("io.max", held,
                           "8:0 rbps=9 wbps=max\n8:16 rbps=2 wbps=max\n"),
              ElementsAre("8:0 rbps=1 wbps=max"));
  // Taken away.
  EXPECT_THAT(RepairWrites("io.max", held, "8:0 rbps=1 wbps=max\n"),
              ElementsAre("8:16 rbps=2 wbps=max"));
  // Added.
  EXPECT_THAT(RepairWrites("io.max", "", "8:0 rbps=9 wbps=max\n"),
              ElementsAre("8:0 rbps=max wbps=max"));
  EXPECT_THAT(
      RepairWrites("io.weight", "default 100\n", "default 200\n8:0 50\n"),
      ElementsAre("8:0 default", "default 100"));
  EXPECT_THAT(RepairWrites("io.latency", "", "8:0 target=75\n"),
              ElementsAre("8:0 target=0"));
}

class FilePaceTest : public testing::Test {
 protected:
  DriftStep Judge(DriftMode mode, bool same, const char* actual = "1\n") {
    return pace_.Judge(mode, same, actual, now_);
  }

  FilePace pace_;
  FilePace::Time now_ = FilePace::Time() + seconds(1000);
};

TEST_F(FilePaceTest, EveryModeAndState) {
  struct Case {
    DriftMode mode;
    bool same;
    DriftStep step;
  };
  for (const Case& c : {Case{DriftMode::kOff, true, DriftStep::kNothing},
                        Case{DriftMode::kOff, false, DriftStep::kNothing},
                        Case{DriftMode::kReport, true, DriftStep::kNothing},
                        Case{DriftMode::kReport, false, DriftStep::kTell},
                        Case{DriftMode::kRepair, true, DriftStep::kNothing},
                        Case{DriftMode::kRepair, false, DriftStep::kRepair}}) {
    FilePace pace;
    EXPECT_EQ(pace.Judge(c.mode, c.same, "1\n", now_), c.step);
  }
}

TEST_F(FilePaceTest, AReportIsMadeOncePerChange) {
  EXPECT_EQ(Judge(DriftMode::kReport, false), DriftStep::kTell);
  EXPECT_EQ(Judge(DriftMode::kReport, false), DriftStep::kNothing);
  EXPECT_EQ(Judge(DriftMode::kReport, false, "2\n"), DriftStep::kTell);
  // Right in between: wrong again is news.
  EXPECT_EQ(Judge(DriftMode::kReport, true), DriftStep::kNothing);
  EXPECT_EQ(Judge(DriftMode::kReport, false, "2\n"), DriftStep::kTell);
}

TEST_F(FilePaceTest, SomethingThatKeepsWritingIsAnsweredOnceASecond) {
  for (int i = 0; i < FilePace::kBurst; ++i) {
    EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kRepair);
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kWait);
  }
  for (int i = 0; i < 10; ++i) {
    now_ += FilePace::kRepairEvery;
    EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kRepair);
    EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kWait);
  }
  // Left alone for a while it is answered at once again.
  now_ += 100 * FilePace::kRepairEvery;
  for (int i = 0; i < FilePace::kBurst; ++i) {
    EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kRepair);
  }
  EXPECT_EQ(Judge(DriftMode::kRepair, false), DriftStep::kWait);
}

TEST_F(FilePaceTest, SomethingThatKeepsWritingIsToldOnceASecond) {
  const char* texts[] = {"5\n", "6\n"};
  for (int i = 0; i < FilePace::kBurst; ++i) {
    EXPECT_EQ(Judge(DriftMode::kReport, false, texts[i % 2]), DriftStep::kTell);
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_NE(Judge(DriftMode::kReport, false, texts[i % 2]), DriftStep::kTell);
  }
  // What it reads a second later is told.
  EXPECT_EQ(Judge(DriftMode::kReport, false, "7\n"), DriftStep::kWait);
  now_ += FilePace::kRepairEvery;
  EXPECT_EQ(Judge(DriftMode::kReport, false, "7\n"), DriftStep::kTell);
  EXPECT_EQ(Judge(DriftMode::kReport, false, "7\n"), DriftStep::kNothing);
}

TEST_F(FilePaceTest, AnErrorIsToldOnceUntilTheFileHolds) {
  EXPECT_TRUE(pace_.IsNews("EBUSY"));
  EXPECT_FALSE(pace_.IsNews("EBUSY"));
  EXPECT_TRUE(pace_.IsNews("EINVAL"));
  EXPECT_EQ(Judge(DriftMode::kRepair, true), DriftStep::kNothing);
  EXPECT_TRUE(pace_.IsNews("EINVAL"));
}

}  // namespace
}  // namespace pinion::cgroup
