#include "runtime/warm_pool.h"

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "base/log.h"

namespace pinion::runtime {
namespace {

// After a failure, so that a machine without memory or a template that dies at
// once is not made worse.
constexpr std::chrono::seconds kPause(1);

void Report(const absl::Status& status) {
  Log(LogLevel::kWarning, "nothing made ahead for the next pod",
      {{"error", status.ToString()}});
}

}  // namespace

WarmPool::Quiet::Quiet(WarmPool& pool) : pool_(pool) {
  const absl::MutexLock lock(&pool_.mutex_);
  ++pool_.under_way_;
}

WarmPool::Quiet::~Quiet() {
  const absl::MutexLock lock(&pool_.mutex_);
  --pool_.under_way_;
}

WarmPool::WarmPool(int size, os::RouterAdvertisements advertisements,
                   int monitor_image, os::Reactor& reactor)
    : size_(static_cast<size_t>(size)),
      advertisements_(advertisements),
      monitor_image_(monitor_image),
      reactor_(reactor) {
  if (size_ > 0) filler_ = std::thread([this] { FillLoop(); });
}

WarmPool::~WarmPool() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  ended_.Open();
  if (filler_.joinable()) filler_.join();
}

std::optional<os::NetworkNamespace> WarmPool::TakeNetwork(
    os::RouterAdvertisements advertisements) {
  if (advertisements != advertisements_) return std::nullopt;
  const absl::MutexLock lock(&mutex_);
  if (networks_.empty()) return std::nullopt;
  os::NetworkNamespace network = std::move(networks_.front());
  networks_.pop_front();
  return network;
}

std::shared_ptr<monitor::MonitorTemplate> WarmPool::Template() {
  const absl::MutexLock lock(&mutex_);
  return template_trusted_ ? template_ : nullptr;
}

void WarmPool::Distrust(
    const std::shared_ptr<monitor::MonitorTemplate>& source) {
  const absl::MutexLock lock(&mutex_);
  if (template_ != source || !template_trusted_) return;
  template_trusted_ = false;
  Log(LogLevel::kWarning, "the monitor's template does not answer; killing it",
      {{"pid", source->pid()}});
  // Kept until its connection hangs up: it may have made copies that are still
  // to be taken on.
  source->Kill();
}

bool WarmPool::Lacking() const {
  return under_way_ == 0 &&
         (networks_.size() < size_ || template_ == nullptr || template_lost_);
}

void WarmPool::FillLoop() {
  const auto work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || Lacking();
  };
  while (true) {
    bool need_template = false;
    std::shared_ptr<monitor::MonitorTemplate> lost;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&work));
      if (stopping_) return;
      if (template_lost_) lost = std::move(template_);
      template_lost_ = false;
      need_template = template_ == nullptr;
    }
    const bool was_lost = lost != nullptr;
    lost.reset();
    const bool good = need_template ? MakeTemplate() : MakeNetwork();
    if (good && !was_lost) continue;
    (void)ended_.WaitUntil(std::chrono::steady_clock::now() + kPause);
  }
}

bool WarmPool::MakeNetwork() {
  auto network = os::NewNetworkNamespace(advertisements_);
  if (!network.ok()) {
    Report(network.status());
    return false;
  }
  const absl::MutexLock lock(&mutex_);
  networks_.push_back(*std::move(network));
  return true;
}

bool WarmPool::MakeTemplate() {
  auto made =
      monitor::MonitorTemplate::Create(monitor_image_, reactor_, [this] {
        const absl::MutexLock lock(&mutex_);
        template_trusted_ = false;
        template_lost_ = true;
      });
  if (!made.ok()) {
    Report(made.status());
    return false;
  }
  const absl::MutexLock lock(&mutex_);
  template_ = *std::move(made);
  // It may have ended already.
  template_trusted_ = !template_lost_;
  return true;
}

}  // namespace pinion::runtime
