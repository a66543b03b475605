// A call of systemd's manager that is under way: for sd_bus.cc alone.
//
// Made by a caller's thread, then the bus thread's until `done`.

#ifndef PINION_OS_UNIT_REQUEST_H_
#define PINION_OS_UNIT_REQUEST_H_

#include <systemd/sd-bus.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "os/sd_bus.h"
#include "os/unit_messages.h"

namespace pinion::os {

template <auto kFunction>
struct SdUnref {
  template <typename T>
  void operator()(T* object) const {
    kFunction(object);
  }
};
using SdBus = std::unique_ptr<sd_bus, SdUnref<sd_bus_close_unref>>;
using SdSlot = std::unique_ptr<sd_bus_slot, SdUnref<sd_bus_slot_unref>>;
using SdMessage =
    std::unique_ptr<sd_bus_message, SdUnref<sd_bus_message_unref>>;

class UnitConnection;

enum class UnitStage { kQueued, kSent, kJob, kLooking };

struct UnitRequest {
  UnitMethod method = UnitMethod::kStart;
  std::string unit;
  std::vector<UnitProperty> properties;
  std::chrono::steady_clock::time_point deadline;

  // The bus thread's.
  UnitStage stage = UnitStage::kQueued;
  std::chrono::steady_clock::time_point not_before;  // queued: back-off
  std::chrono::steady_clock::time_point check_at;    // job: when to look
  std::chrono::steady_clock::time_point look_by;     // job: at the latest
  int attempts = 0;
  bool has_job = false;  // as far as was heard; also one of somebody else's
  std::string job;       // its own
  // Results that came before the reply that names the job.
  std::map<std::string, std::string> early;
  SdSlot slot;
  UnitConnection* connection = nullptr;

  // Nobody waits for it.
  bool detached = false;
  absl::Status result;
  absl::Notification done;
};

inline std::string Describe(const UnitRequest& request) {
  return absl::StrCat(UnitMethodName(request.method), " ", request.unit);
}

}  // namespace pinion::os

#endif  // PINION_OS_UNIT_REQUEST_H_
