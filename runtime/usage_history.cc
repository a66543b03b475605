#include "runtime/usage_history.h"

#include <algorithm>

namespace pinion::runtime {
namespace {

constexpr std::chrono::seconds kShortestWindow(1);
constexpr std::chrono::seconds kWritablePeriod(10);
constexpr int kWritableShare = 50;

}  // namespace

std::optional<uint64_t> UsageHistory::Rate(Time now, uint64_t cpu_ns) {
  const absl::MutexLock lock(&mutex_);
  if (sampled_ && now - *sampled_ < kShortestWindow) return rate_;
  // Less than before: the cgroup was made anew.
  if (sampled_ && cpu_ns >= cpu_ns_) {
    const double seconds =
        std::chrono::duration<double>(now - *sampled_).count();
    rate_ =
        static_cast<uint64_t>(static_cast<double>(cpu_ns - cpu_ns_) / seconds);
  } else {
    rate_.reset();
  }
  sampled_ = now;
  cpu_ns_ = cpu_ns;
  return rate_;
}

std::optional<WritableLayer> UsageHistory::Writable(Time now) const {
  const absl::MutexLock lock(&mutex_);
  if (now >= good_until_) return std::nullopt;
  return writable_;
}

void UsageHistory::SetWritable(Time began, Time now,
                               const WritableLayer& usage) {
  const Time::duration pause =
      std::max<Time::duration>(kWritablePeriod, (now - began) * kWritableShare);
  const absl::MutexLock lock(&mutex_);
  good_until_ = now + pause;
  writable_ = usage;
}

uint64_t UsageHistory::HugePagePeak(const std::string& page_size,
                                    uint64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  uint64_t& peak = peaks_[page_size];
  peak = std::max(peak, bytes);
  return peak;
}

}  // namespace pinion::runtime
