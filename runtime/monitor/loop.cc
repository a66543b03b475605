#include "runtime/monitor/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

namespace pinion::monitor {

int Loop::Create() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  return epoll_ < 0 ? errno : 0;
}

int Loop::Add(Watch* watch, int fd, uint32_t events,
              void (*ready)(void* context, uint32_t events), void* context) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = watch;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return errno;
  watch->fd = fd;
  watch->ready = ready;
  watch->context = context;
  return 0;
}

void Loop::Change(Watch* watch, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = watch;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, watch->fd, &event);
}

void Loop::Remove(Watch* watch) {
  if (!watch->active()) return;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, watch->fd, nullptr);
  watch->ready = nullptr;
}

void Loop::Close(Watch* watch) {
  Remove(watch);
  if (watch->fd >= 0) close(watch->fd);
  watch->fd = -1;
}

int Loop::Turn(int timeout_ms, int limit) {
  epoll_event events[kEventsPerTurn];
  if (limit > kEventsPerTurn) limit = kEventsPerTurn;
  const int count = epoll_wait(epoll_, events, limit, timeout_ms);
  for (int i = 0; i < count; ++i) {
    // A handler before may have removed this one.
    const Watch* watch = static_cast<Watch*>(events[i].data.ptr);
    if (watch->active()) watch->ready(watch->context, events[i].events);
  }
  return count;
}

}  // namespace pinion::monitor
