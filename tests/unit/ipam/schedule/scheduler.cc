#include "tests/unit/ipam/schedule/scheduler.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

namespace pinion::ipam::schedule {
namespace {

constexpr size_t kStackBytes = 128 * 1024;
constexpr int kMostThreads = 3;
// A schedule that is longer does not end.
constexpr int kMostSteps = 10'000;

// The scheduler whose Run is under way.
Scheduler* running = nullptr;

}  // namespace

Scheduler::Fiber::Fiber() : stack(new char[kStackBytes]) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack.get();
  context.uc_stack.ss_size = kStackBytes;
  makecontext(&context, &Scheduler::Enter, 0);
}

Scheduler::Scheduler(const Limits& limits) : limits_(limits) {
  for (int i = 0; i < kMostThreads; ++i) {
    fibers_.push_back(std::make_unique<Fiber>());
  }
}

Scheduler::~Scheduler() = default;

// A fiber's whole life: one body after the other.
void Scheduler::Enter() {
  for (;;) {
    Scheduler& self = *running;
    Fiber& fiber = *self.fibers_[static_cast<size_t>(self.current_)];
    try {
      (*fiber.body)();
    } catch (const Killed&) {
      fiber.killed = true;
    }
    fiber.runnable = false;
    const int left = self.CountRunnable(-1);
    if (left == 0) {
      self.current_ = -1;
      swapcontext(&fiber.context, &self.main_);
    } else {
      self.SwitchTo(self.Runnable(self.Choose(left), -1));
    }
  }
}

void Scheduler::Run(const std::vector<std::function<void()>>& bodies,
                    const std::function<void()>& observe) {
  observe_ = &observe;
  preemptions_ = 0;
  kills_ = 0;
  steps_ = 0;
  depth_ = 0;
  known_ = {};
  ++runs_;
  for (size_t i = 0; i < fibers_.size(); ++i) {
    fibers_[i]->runnable = i < bodies.size();
    fibers_[i]->killed = false;
    if (i < bodies.size()) fibers_[i]->body = &bodies[i];
  }
  running = this;
  current_ = Choose(static_cast<int>(bodies.size()));
  swapcontext(&main_, &fibers_[static_cast<size_t>(current_)]->context);
  running = nullptr;
}

bool Scheduler::Next() {
  while (!choices_.empty() &&
         choices_.back().taken + 1 == choices_.back().options) {
    choices_.pop_back();
  }
  if (choices_.empty()) return false;
  ++choices_.back().taken;
  return true;
}

void Scheduler::Point() {
  if (running != nullptr) running->AtPoint();
}

int Scheduler::current_thread() {
  return running == nullptr ? -1 : running->current_;
}

namespace {

void Join(Scheduler::Times& into, const Scheduler::Times& from) {
  for (size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

void Scheduler::Learn(const Times& times) {
  if (running == nullptr) return;
  Join(running->known_[static_cast<size_t>(running->current_)], times);
}

void Scheduler::Tell(Times& times) {
  if (running == nullptr) return;
  Join(times, running->known_[static_cast<size_t>(running->current_)]);
}

Scheduler::Times Scheduler::Known() {
  return running == nullptr
             ? Times{}
             : running->known_[static_cast<size_t>(running->current_)];
}

void Scheduler::AtPoint() {
  (*observe_)();
  if (++steps_ > kMostSteps) {
    fprintf(stderr, "a schedule does not end: %s\n", Describe().c_str());
    abort();
  }
  const int others =
      preemptions_ < limits_.preemptions ? CountRunnable(current_) : 0;
  const int options = 1 + others + (kills_ < limits_.kills ? 1 : 0);
  const auto self = static_cast<size_t>(current_);
  ++known_[self][self];
  if (options == 1) return;
  const int choice = Choose(options);
  if (choice == 0) return;
  if (choice > others) {
    ++kills_;
    throw Killed();
  }
  ++preemptions_;
  SwitchTo(Runnable(choice - 1, current_));
}

int Scheduler::Choose(int options) {
  if (depth_ == choices_.size()) choices_.push_back({0, options});
  return choices_[depth_++].taken;
}

int Scheduler::Runnable(int n, int except) const {
  for (size_t i = 0; i < fibers_.size(); ++i) {
    if (!fibers_[i]->runnable || static_cast<int>(i) == except) continue;
    if (n-- == 0) return static_cast<int>(i);
  }
  abort();
}

int Scheduler::CountRunnable(int except) const {
  int count = 0;
  for (size_t i = 0; i < fibers_.size(); ++i) {
    if (fibers_[i]->runnable && static_cast<int>(i) != except) ++count;
  }
  return count;
}

void Scheduler::SwitchTo(int thread) {
  Fiber& from = *fibers_[static_cast<size_t>(current_)];
  current_ = thread;
  swapcontext(&from.context, &fibers_[static_cast<size_t>(thread)]->context);
}

std::string Scheduler::Describe() const {
  std::string text;
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (choices_[i].taken == 0) continue;
    text += (text.empty() ? "" : " ") + std::to_string(i) + ":" +
            std::to_string(choices_[i].taken);
  }
  return text;
}

}  // namespace pinion::ipam::schedule
