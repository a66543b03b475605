#include "daemon/notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace pinion::daemon {

void NotifyReady(const std::string& status) {
  sd_notify(0, absl::StrCat("READY=1\nSTATUS=", status).c_str());
}

void NotifyReloading() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  sd_notify(0, absl::StrCat("RELOADING=1\nMONOTONIC_USEC=",
                            now.tv_sec * 1'000'000 + now.tv_nsec / 1000)
                   .c_str());
}

void NotifyStopping() { sd_notify(0, "STOPPING=1"); }

std::chrono::microseconds WatchdogInterval() {
  uint64_t usec = 0;
  if (sd_watchdog_enabled(0, &usec) <= 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(usec);
}

class Watchdog::Impl {
 public:
  Impl(std::chrono::microseconds interval, std::function<bool()> answers)
      : pause_(interval / 2),
        answers_(std::move(answers)),
        thread_([this] { Loop(); }) {}

  ~Impl() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void Loop() {
    do {
      if (answers_()) {
        sd_notify(0, "WATCHDOG=1");
      } else {
        Log(LogLevel::kError, "the CRI server does not answer", {});
      }
    } while (!IsStoppedWithinPause());
  }

  // On the monotonic clock, as systemd counts; Abseil's time-outs are not.
  bool IsStoppedWithinPause() {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, pause_, [this] { return stopping_; });
  }

  const std::chrono::microseconds pause_;
  const std::function<bool()> answers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

Watchdog::Watchdog(std::chrono::microseconds interval,
                   std::function<bool()> answers)
    : impl_(std::make_unique<Impl>(interval, std::move(answers))) {}

Watchdog::~Watchdog() = default;

}  // namespace pinion::daemon
