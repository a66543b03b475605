// What a pod's start would wait for, made ahead: a few network namespaces, and
// a template that monitors are copied from (docs/decisions/warm_pool.md).
//
// A thread of its own fills it up, one thing at a time, and only while no pod
// is being started: a burst is served without it, as cheaply as before. Nothing
// in it has a name or a place on disk; it is gone when the daemon is, however
// that ends.
//
// Thread-safe.

#ifndef PINION_RUNTIME_WARM_POOL_H_
#define PINION_RUNTIME_WARM_POOL_H_

#include <deque>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/gate.h"
#include "os/network_namespace.h"
#include "os/reactor.h"
#include "runtime/monitor/client_template.h"

namespace pinion::runtime {

class WarmPool {
 public:
  // `size` network namespaces and one template; 0: nothing, ever. The image and
  // the reactor outlive the pool.
  WarmPool(int size, os::RouterAdvertisements advertisements, int monitor_image,
           os::Reactor& reactor);
  ~WarmPool();

  // Nothing is made while one of these lives.
  class Quiet {
   public:
    explicit Quiet(WarmPool& pool);
    ~Quiet();
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

   private:
    WarmPool& pool_;
  };

  // None also for who wants another than it makes.
  std::optional<os::NetworkNamespace> TakeNetwork(
      os::RouterAdvertisements advertisements);

  // Null: none, or none that answers.
  std::shared_ptr<monitor::MonitorTemplate> Template();
  // This one does not answer: it is killed, and replaced in time.
  void Distrust(const std::shared_ptr<monitor::MonitorTemplate>& source);

 private:
  bool Lacking() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillLoop();
  bool MakeNetwork();
  bool MakeTemplate();

  const size_t size_;
  const os::RouterAdvertisements advertisements_;
  const int monitor_image_;
  os::Reactor& reactor_;

  Gate ended_;  // opens after stopping_, for who waits some time
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<os::NetworkNamespace> networks_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<monitor::MonitorTemplate> template_ ABSL_GUARDED_BY(mutex_);
  bool template_trusted_ ABSL_GUARDED_BY(mutex_) = false;
  // It has ended; whoever fills the pool lets go of it.
  bool template_lost_ ABSL_GUARDED_BY(mutex_) = false;

  // Last: it uses the rest.
  std::thread filler_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_WARM_POOL_H_
