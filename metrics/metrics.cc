#include "metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/synchronization/mutex.h"

namespace pinion::metrics {
namespace {

class PromCounter final : public Counter {
 public:
  explicit PromCounter(prometheus::Counter& impl) : impl_(impl) {}
  void Increment(double by) override { impl_.Increment(by); }

 private:
  prometheus::Counter& impl_;
};

class PromGauge final : public Gauge {
 public:
  explicit PromGauge(prometheus::Gauge& impl) : impl_(impl) {}
  void Set(double value) override { impl_.Set(value); }
  void Add(double by) override { impl_.Increment(by); }

 private:
  prometheus::Gauge& impl_;
};

class PromHistogram final : public Histogram {
 public:
  explicit PromHistogram(prometheus::Histogram& impl) : impl_(impl) {}
  void Observe(double value) override { impl_.Observe(value); }

 private:
  prometheus::Histogram& impl_;
};

// Every instrument of one kind: metric name -> labels -> instrument.
template <typename Instrument>
using Table =
    std::map<std::string, std::map<Labels, std::unique_ptr<Instrument>>>;

class PromRegistry final : public Registry {
 public:
  Counter& AddCounter(const std::string& name, const std::string& help,
                      const Labels& labels) override {
    return Find<PromCounter>(&counters_, name, labels, [&](const Labels& l) {
      return std::make_unique<PromCounter>(prometheus::BuildCounter()
                                               .Name(name)
                                               .Help(help)
                                               .Register(registry_)
                                               .Add(l));
    });
  }

  Gauge& AddGauge(const std::string& name, const std::string& help,
                  const Labels& labels) override {
    return Find<PromGauge>(&gauges_, name, labels, [&](const Labels& l) {
      return std::make_unique<PromGauge>(prometheus::BuildGauge()
                                             .Name(name)
                                             .Help(help)
                                             .Register(registry_)
                                             .Add(l));
    });
  }

  Histogram& AddHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& buckets,
                          const Labels& labels) override {
    return Find<PromHistogram>(
        &histograms_, name, labels, [&](const Labels& l) {
          return std::make_unique<PromHistogram>(prometheus::BuildHistogram()
                                                     .Name(name)
                                                     .Help(help)
                                                     .Register(registry_)
                                                     .Add(l, buckets));
        });
  }

  void OnScrape(std::function<void()> refresh) override {
    const absl::MutexLock lock(&refreshers_mutex_);
    refreshers_.push_back(std::move(refresh));
  }

  std::string Render() override {
    // A refresher may make instruments, so only this lock is held.
    const absl::MutexLock lock(&refreshers_mutex_);
    for (const auto& refresh : refreshers_) refresh();
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  template <typename Instrument, typename Make>
  Instrument& Find(Table<Instrument>* table, const std::string& name,
                   const Labels& labels, const Make& make) {
    const absl::MutexLock lock(&mutex_);
    auto& series = (*table)[name];
    const auto found = series.find(labels);
    if (found != series.end()) return *found->second;
    if (series.size() < kMaxSeries) {
      return *(series[labels] = make(labels));
    }
    Labels overflow = labels;
    for (auto& [key, value] : overflow) value = "other";
    auto& shared = series[overflow];
    if (shared == nullptr) shared = make(overflow);
    return *shared;
  }

  prometheus::Registry registry_;
  absl::Mutex mutex_;
  Table<PromCounter> counters_ ABSL_GUARDED_BY(mutex_);
  Table<PromGauge> gauges_ ABSL_GUARDED_BY(mutex_);
  Table<PromHistogram> histograms_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex refreshers_mutex_;
  std::vector<std::function<void()>> refreshers_
      ABSL_GUARDED_BY(refreshers_mutex_);
};

}  // namespace

const std::vector<double>& LatencyBuckets() {
  static const auto& buckets = *new std::vector<double>{
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
      0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return buckets;
}

const std::vector<double>& FineLatencyBuckets() {
  static const auto& buckets = *new std::vector<double>{
      50e-9, 100e-9, 250e-9, 500e-9, 1e-6,   2.5e-6, 5e-6,
      10e-6, 25e-6,  50e-6,  100e-6, 250e-6, 1e-3};
  return buckets;
}

std::unique_ptr<Registry> Registry::Create() {
  return std::make_unique<PromRegistry>();
}

}  // namespace pinion::metrics
