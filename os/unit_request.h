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
struct Unref {
  template <typename T>
  void operator()(T* object) const {
    kFunction(object);
  }
};
using Bus = std::unique_ptr<sd_bus, Unref<sd_bus_close_unref>>;
using Slot = std::unique_ptr<sd_bus_slot, Unref<sd_bus_slot_unref>>;
using Message = std::unique_ptr<sd_bus_message, Unref<sd_bus_message_unref>>;

class Connection;

enum class Stage { kQueued, kSent, kJob, kLooking };

struct Request {
  UnitMethod method = UnitMethod::kStart;
  std::string unit;
  std::vector<UnitProperty> properties;
  std::chrono::steady_clock::time_point deadline;

  // The bus thread's.
  Stage stage = Stage::kQueued;
  std::chrono::steady_clock::time_point not_before;  // queued: back-off
  std::chrono::steady_clock::time_point check_at;    // job: when to look
  std::chrono::steady_clock::time_point look_by;     // job: at the latest
  int attempts = 0;
  bool has_job = false;  // as far as was heard; also one of somebody else's
  std::string job;       // its own
  // Results that came before the reply that names the job.
  std::map<std::string, std::string> early;
  Slot slot;
  Connection* connection = nullptr;

  // Nobody waits for it.
  bool detached = false;
  absl::Status result;
  absl::Notification done;
};

inline std::string Describe(const Request& request) {
  return absl::StrCat(UnitMethodName(request.method), " ", request.unit);
}

}  // namespace pinion::os

#endif  // PINION_OS_UNIT_REQUEST_H_
