#include "os/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "os/error.h"

namespace pinion::os {
namespace {

// Longest wait: a wake-up descriptor interrupts it, so this only bounds the
// arithmetic.
constexpr int kLongestWaitMs = 3'600'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Reactor>> Reactor::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoStatus("epoll_create1");
  UniqueFd wakeup(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup.valid()) return ErrnoStatus("eventfd");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wakeup.get(), &event) != 0) {
    return ErrnoStatus("epoll_ctl add eventfd");
  }
  auto reactor = std::unique_ptr<Reactor>(
      new Reactor(std::move(epoll), std::move(wakeup)));
  reactor->thread_ = std::thread([raw = reactor.get()] { raw->Loop(); });
  return reactor;
}

Reactor::Reactor(UniqueFd epoll, UniqueFd wakeup)
    : epoll_(std::move(epoll)), wakeup_(std::move(wakeup)) {}

Reactor::~Reactor() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

void Reactor::Wake() {
  const uint64_t one = 1;
  // Only fails when the counter is full: then a wake-up is pending anyway.
  (void)!write(wakeup_.get(), &one, sizeof(one));
}

absl::Status Reactor::Add(int fd, uint32_t events, FdCallback callback) {
  const absl::MutexLock lock(&mutex_);
  const uint64_t key = next_key_++;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = key;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoStatus(absl::StrCat("epoll_ctl add fd ", fd));
  }
  handlers_[key] = std::make_shared<Handler>(Handler{fd, std::move(callback)});
  keys_[fd] = key;
  return absl::OkStatus();
}

void Reactor::Remove(int fd) {
  const absl::MutexLock lock(&mutex_);
  const auto found = keys_.find(fd);
  if (found == keys_.end()) return;
  const uint64_t key = found->second;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  keys_.erase(found);
  handlers_.erase(key);
  if (std::this_thread::get_id() == thread_.get_id()) return;
  const auto not_running = [this, key]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return running_key_ != key;
  };
  mutex_.Await(absl::Condition(&not_running));
}

Reactor::TimerId Reactor::After(std::chrono::nanoseconds delay,
                                std::function<void()> callback) {
  TimerId id = 0;
  bool first = false;
  {
    const absl::MutexLock lock(&mutex_);
    id = next_key_++;
    const Deadline deadline(std::chrono::steady_clock::now() + delay, id);
    timers_[deadline] = std::move(callback);
    deadlines_[id] = deadline;
    first = timers_.begin()->first == deadline;
  }
  if (first && std::this_thread::get_id() != thread_.get_id()) Wake();
  return id;
}

bool Reactor::Cancel(TimerId id) {
  const absl::MutexLock lock(&mutex_);
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return false;
  timers_.erase(found->second);
  deadlines_.erase(found);
  return true;
}

void Reactor::RunDueTimers() {
  const auto now = std::chrono::steady_clock::now();
  while (true) {
    std::function<void()> callback;
    {
      const absl::MutexLock lock(&mutex_);
      if (stopping_ || timers_.empty() || timers_.begin()->first.first > now) {
        return;
      }
      callback = std::move(timers_.begin()->second);
      deadlines_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
    }
    callback();
  }
}

int Reactor::TimeoutMs() {
  const absl::MutexLock lock(&mutex_);
  if (timers_.empty()) return kLongestWaitMs;
  const auto left =
      timers_.begin()->first.first - std::chrono::steady_clock::now();
  if (left.count() <= 0) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return ms > kLongestWaitMs ? kLongestWaitMs : static_cast<int>(ms);
}

void Reactor::RunHandler(uint64_t key, uint32_t events) {
  std::shared_ptr<Handler> handler;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = handlers_.find(key);
    if (found == handlers_.end()) return;
    handler = found->second;
    running_key_ = key;
  }
  handler->callback(events);
  const absl::MutexLock lock(&mutex_);
  running_key_ = 0;
}

void Reactor::Loop() {
  while (true) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_.get(), events, 64, TimeoutMs());
    {
      const absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == 0) {
        uint64_t ignored = 0;
        (void)!read(wakeup_.get(), &ignored, sizeof(ignored));
      } else {
        RunHandler(events[i].data.u64, events[i].events);
      }
    }
    RunDueTimers();
  }
}

}  // namespace pinion::os
