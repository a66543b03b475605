// Typed instruments. Names follow Prometheus' conventions: prefix `pinion_`,
// base units (seconds, bytes), `_total` on counters.
//
// Everything here is thread-safe. Instruments live as long as their Registry;
// hot paths keep the reference that Add… returned.
//
// Labels come from fixed sets (an RPC's name, a phase), never from a pod or an
// image. Should one grow all the same, series beyond kMaxSeries of a name are
// counted together under the label value "other".

#ifndef PINION_METRICS_METRICS_H_
#define PINION_METRICS_METRICS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pinion::metrics {

using Labels = std::map<std::string, std::string>;

// Label combinations of one name.
inline constexpr size_t kMaxSeries = 256;

class Counter {
 public:
  virtual ~Counter() = default;
  // A negative `by` is ignored.
  virtual void Increment(double by = 1) = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual void Add(double by) = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Upper bounds in seconds for operations from 0.1 ms to a minute.
const std::vector<double>& LatencyBuckets();
// Upper bounds in seconds from 50 ns to 1 ms, for the lock-free paths.
const std::vector<double>& FineLatencyBuckets();

class Registry {
 public:
  static std::unique_ptr<Registry> Create();
  virtual ~Registry() = default;

  // The instrument with these labels; made on first use. The same name must
  // always come with the same help text, kind and label keys; names that
  // Prometheus does not take end the program: they are ours.
  virtual Counter& AddCounter(const std::string& name, const std::string& help,
                              const Labels& labels = {}) = 0;
  virtual Gauge& AddGauge(const std::string& name, const std::string& help,
                          const Labels& labels = {}) = 0;
  virtual Histogram& AddHistogram(const std::string& name,
                                  const std::string& help,
                                  const std::vector<double>& buckets,
                                  const Labels& labels = {}) = 0;

  // `refresh` runs before every scrape: for gauges that are read, not kept.
  // It must not block.
  virtual void OnScrape(std::function<void()> refresh) = 0;

  // Everything, in the text exposition format.
  virtual std::string Render() = 0;
};

}  // namespace pinion::metrics

#endif  // PINION_METRICS_METRICS_H_
