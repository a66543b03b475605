#include "tools/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

constexpr Terminal kPlain = {.color = false, .width = 56};

Timeline Example() {
  Timeline timeline;
  timeline.pod_id = std::string(64, 'a');
  timeline.title = "demo/web";
  const int64_t t = 1'700'000'000'000'000'000;
  timeline.phases = {
      {"pod", "monitor", t, 400'000},
      {"pod", "cgroup", t + 400'000, 100'000},
      {"pod", "network", t + 500'000, 500'000},
      // Starts a minute after its pod.
      {"server", "rootfs", t + 60'000'000'000, 300'000},
      {"server", "exec", t + 60'000'300'000, 900'000},
  };
  return timeline;
}

TEST(TimelineTest, OneChartAnObject) {
  EXPECT_EQ(RenderTimeline(Example(), kPlain),
            "demo/web  aaaaaaaaaaaaa\n"
            "\n"
            "pod: 1.00 ms\n"
            "  monitor  █████████████▋                       400.0 µs\n"
            "  cgroup                ████                    100.0 µs\n"
            "  network                   █████████████████   500.0 µs\n"
            "\n"
            "server: 1.20 ms\n"
            "  rootfs   ████████▌                            300.0 µs\n"
            "  exec             ██████████████████████████   900.0 µs\n");
}

TEST(TimelineTest, LongPauseStartsAnotherChart) {
  Timeline timeline = Example();
  const int64_t created = timeline.phases[3].start_ns;
  timeline.phases.push_back(
      {"server", "start", created + 5'000'000'000, 1'000'000});
  const std::string text = RenderTimeline(timeline, kPlain);
  EXPECT_THAT(text, HasSubstr("server: 1.20 ms\n"));
  EXPECT_THAT(text, HasSubstr("server, 5.00 s later: 1.00 ms\n"));
}

TEST(TimelineTest, ShortPauseStaysInTheChart) {
  Timeline timeline;
  timeline.title = "a/b";
  timeline.phases = {{"pod", "one", 0, 1000}, {"pod", "two", 1500, 1000}};
  EXPECT_THAT(RenderTimeline(timeline, kPlain), HasSubstr("pod: 2.5 µs\n"));
}

TEST(TimelineTest, PhasesInTheOrderOfTheirStarts) {
  Timeline timeline;
  timeline.phases = {{"pod", "late", 500, 500}, {"pod", "early", 0, 500}};
  const std::string text = RenderTimeline(timeline, kPlain);
  EXPECT_LT(text.find("early"), text.find("late"));
}

TEST(TimelineTest, NothingRecorded) {
  EXPECT_THAT(RenderTimeline(Timeline(), kPlain),
              HasSubstr("no phases were recorded"));
}

TEST(TimelineTest, ZeroLengthIsDrawn) {
  Timeline timeline;
  timeline.phases = {{"pod", "instant", 7, 0}};
  EXPECT_THAT(RenderTimeline(timeline, kPlain), HasSubstr("▏"));
}

TEST(TimelineTest, Json) {
  const std::string json = TimelineJson(Example());
  EXPECT_THAT(json, HasSubstr("\"pod\": \"demo/web\""));
  EXPECT_THAT(json, HasSubstr("\"name\": \"monitor\""));
  EXPECT_THAT(json, HasSubstr("\"duration_ns\": 400000"));
}

}  // namespace
}  // namespace pinion::tools
