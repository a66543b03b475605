// What the service manager is told (sd_notify(3)). Without NOTIFY_SOCKET every
// call does nothing.
//
// Thread-safe.

#ifndef PINION_DAEMON_NOTIFY_H_
#define PINION_DAEMON_NOTIFY_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace pinion::daemon {

void NotifyReady(const std::string& status);
// Type=notify-reload wants the monotonic time with it.
void NotifyReloading();
void NotifyStopping();

// How often systemd wants to hear of us; zero: it does not watch.
std::chrono::microseconds WatchdogInterval();

// A thread that says WATCHDOG=1 at half the interval as long as `answers`
// does; what is not served need not be kept alive.
class Watchdog {
 public:
  Watchdog(std::chrono::microseconds interval, std::function<bool()> answers);
  ~Watchdog();

  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_NOTIFY_H_
