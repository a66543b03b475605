// SystemdBus' one implementation: for sd_bus.cc alone.

#ifndef PINION_OS_UNIT_CONNECTION_H_
#define PINION_OS_UNIT_CONNECTION_H_

#include <systemd/sd-bus.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "os/sd_bus.h"
#include "os/unique_fd.h"
#include "os/unit_messages.h"
#include "os/unit_request.h"

namespace pinion::os {

// Everything but the public face: one thread runs Loop, and only that thread
// touches the bus and the requests in flight.
class UnitConnection final : public SystemdBus {
 public:
  UnitConnection(Options options, UniqueFd wakeup)
      : options_(std::move(options)), wakeup_(std::move(wakeup)) {}
  ~UnitConnection() override;

  absl::Status Start();

  absl::Status StartTransientUnit(const std::string& name,
                                  const std::vector<UnitProperty>& properties,
                                  Deadline deadline) override {
    return Call(UnitMethod::kStart, name, properties, deadline);
  }
  absl::Status StopUnit(const std::string& name, Deadline deadline) override {
    return Call(UnitMethod::kStop, name, {}, deadline);
  }
  absl::Status ResetFailedUnit(const std::string& name,
                               Deadline deadline) override {
    return Call(UnitMethod::kReset, name, {}, deadline);
  }
  absl::Status SetUnitProperties(const std::string& name,
                                 const std::vector<UnitProperty>& properties,
                                 Deadline deadline) override {
    return Call(UnitMethod::kSet, name, properties, deadline);
  }
  void AbandonUnit(const std::string& name) override {
    Send(UnitMethod::kStop, name, {},
         std::chrono::steady_clock::now() + kAbandonTimeout,
         /*detached=*/true);
  }
  uint64_t connections() const override { return connections_.load(); }

 private:
  static constexpr std::chrono::milliseconds kFirstBackoff{20};
  static constexpr std::chrono::minutes kAbandonTimeout{10};

  absl::Status Call(UnitMethod method, const std::string& name,
                    const std::vector<UnitProperty>& properties,
                    Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<UnitRequest> Send(UnitMethod method, const std::string& name,
                                    const std::vector<UnitProperty>& properties,
                                    Deadline deadline, bool detached)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Wake();
  void Loop();
  void TakeNew() ABSL_LOCKS_EXCLUDED(mutex_);
  // However long systemd is away, and whatever is given up meanwhile.
  void MakeRoomFor(const UnitRequest& detached);

  absl::Status Connect();
  absl::Status ConnectTo(const Address& address);
  int Subscribe(sd_bus* bus, bool is_bus);
  void Disconnect(const std::string& why);
  void RequeueAll(std::chrono::milliseconds delay);

  void Submit(UnitRequest& request);
  // A hundred jobs that are late at once are not to keep systemd late.
  bool MayLook(std::chrono::steady_clock::time_point now);
  void Look(UnitRequest& request);
  void Requeue(UnitRequest& request, std::chrono::milliseconds delay);
  void Finish(UnitRequest& request, absl::Status result);
  void AwaitJob(UnitRequest& request);
  void JobDone(UnitRequest& request, const std::string& result);
  // Starts, looks after and expires requests; the time of the next such.
  std::chrono::steady_clock::time_point Drive();
  void Process();
  void Wait(std::chrono::steady_clock::time_point next);

  static int OnReply(sd_bus_message* reply, void* data, sd_bus_error* error);
  static int OnState(sd_bus_message* reply, void* data, sd_bus_error* error);
  static int OnJobRemoved(sd_bus_message* m, void* data, sd_bus_error* error);
  static int OnOwner(sd_bus_message* m, void* data, sd_bus_error* error);

  const Options options_;
  const UniqueFd wakeup_;
  std::thread thread_;
  std::atomic<uint64_t> connections_ = 0;

  // The bus thread's.
  SdBus bus_;
  std::chrono::milliseconds backoff_ = kFirstBackoff;
  std::chrono::steady_clock::time_point connect_at_;
  std::chrono::steady_clock::time_point last_job_end_;
  // Looks since the beginning of an interval.
  std::chrono::steady_clock::time_point looks_since_;
  int looks_ = 0;
  std::list<std::shared_ptr<UnitRequest>> active_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<UnitRequest>> incoming_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::os

#endif  // PINION_OS_UNIT_CONNECTION_H_
