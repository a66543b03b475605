#include "metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace pinion::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RegistryTest, RendersCounterWithHelpTypeAndLabels) {
  const auto registry = Registry::Create();
  registry->AddCounter("pinion_pulls_total", "Image pulls.", {{"code", "OK"}})
      .Increment(3);
  EXPECT_EQ(registry->Render(),
            "# HELP pinion_pulls_total Image pulls.\n"
            "# TYPE pinion_pulls_total counter\n"
            "pinion_pulls_total{code=\"OK\"} 3\n");
}

TEST(RegistryTest, SameNameAndLabelsAreTheSameInstrument) {
  const auto registry = Registry::Create();
  Counter& one = registry->AddCounter("pinion_a_total", "A.", {{"x", "1"}});
  Counter& two = registry->AddCounter("pinion_a_total", "A.", {{"x", "1"}});
  Counter& other = registry->AddCounter("pinion_a_total", "A.", {{"x", "2"}});
  EXPECT_EQ(&one, &two);
  EXPECT_NE(&one, &other);
}

TEST(RegistryTest, CounterIgnoresNegativeIncrements) {
  const auto registry = Registry::Create();
  Counter& counter = registry->AddCounter("pinion_a_total", "A.");
  counter.Increment(2);
  counter.Increment(-1);
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_a_total 2\n"));
}

TEST(RegistryTest, GaugeGoesUpAndDown) {
  const auto registry = Registry::Create();
  Gauge& gauge = registry->AddGauge("pinion_pods", "Pods.");
  gauge.Set(5);
  gauge.Add(2);
  gauge.Add(-3);
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_pods 4\n"));
}

TEST(RegistryTest, HistogramCountsCumulatively) {
  const auto registry = Registry::Create();
  Histogram& histogram =
      registry->AddHistogram("pinion_x_seconds", "X.", {0.001, 0.01});
  histogram.Observe(0.0005);
  histogram.Observe(0.005);
  histogram.Observe(5);
  const std::string text = registry->Render();
  EXPECT_THAT(text, HasSubstr("pinion_x_seconds_bucket{le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("pinion_x_seconds_bucket{le=\"0.01\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("pinion_x_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("pinion_x_seconds_count 3\n"));
}

TEST(RegistryTest, EscapesLabelValues) {
  const auto registry = Registry::Create();
  registry->AddGauge("pinion_x", "X.", {{"v", "a\"b\\c\nd"}}).Set(1);
  EXPECT_THAT(registry->Render(),
              HasSubstr("pinion_x{v=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(RegistryTest, RefreshersRunBeforeEveryRender) {
  const auto registry = Registry::Create();
  Gauge& gauge = registry->AddGauge("pinion_x", "X.");
  int scrapes = 0;
  registry->OnScrape([&] { gauge.Set(++scrapes); });
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_x 1\n"));
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_x 2\n"));
}

TEST(RegistryTest, RefresherMayMakeInstruments) {
  const auto registry = Registry::Create();
  registry->OnScrape([&] { registry->AddGauge("pinion_late", "L.").Set(7); });
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_late 7\n"));
}

TEST(RegistryTest, SeriesBeyondTheBoundAreCountedTogether) {
  const auto registry = Registry::Create();
  for (size_t i = 0; i < kMaxSeries + 10; ++i) {
    registry
        ->AddCounter("pinion_a_total", "A.", {{"k", "v" + std::to_string(i)}})
        .Increment();
  }
  const std::string text = registry->Render();
  EXPECT_THAT(text, HasSubstr("pinion_a_total{k=\"v255\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("k=\"v256\"")));
  EXPECT_THAT(text, HasSubstr("pinion_a_total{k=\"other\"} 10\n"));
}

TEST(RegistryTest, CountsFromManyThreads) {
  const auto registry = Registry::Create();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry] {
      for (int i = 0; i < 1000; ++i) {
        registry->AddCounter("pinion_a_total", "A.").Increment();
        if (i % 100 == 0) {
          EXPECT_FALSE(registry->Render().empty());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(registry->Render(), HasSubstr("pinion_a_total 4000\n"));
}

TEST(BucketsTest, RiseStrictly) {
  for (const auto* buckets : {&LatencyBuckets(), &FineLatencyBuckets()}) {
    for (size_t i = 1; i < buckets->size(); ++i) {
      EXPECT_LT((*buckets)[i - 1], (*buckets)[i]);
    }
  }
}

}  // namespace
}  // namespace pinion::metrics
