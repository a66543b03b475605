// How calls of systemd's manager look on the wire, and what its errors mean.
// For sd_bus.cc alone.
//
// Thread-safe as sd-bus' messages are: one thread per message. Functions that
// return an int return a negative errno, as sd-bus does.

#ifndef PINION_OS_UNIT_MESSAGES_H_
#define PINION_OS_UNIT_MESSAGES_H_

#include <systemd/sd-bus.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "os/sd_bus.h"

namespace pinion::os {

enum class UnitMethod { kStart, kStop, kReset, kSet };
// "StartTransientUnit", …
const char* UnitMethodName(UnitMethod method);

// Appends the method's arguments; properties only count for kStart and
// kSet.
int AppendUnitArguments(sd_bus_message* message, UnitMethod method,
                        const std::string& unit,
                        const std::vector<UnitProperty>& properties);

struct UnitState {
  std::string active;
  bool has_job = false;
};

// From a reply to GetAll of org.freedesktop.systemd1.Unit.
int ReadUnitState(sd_bus_message* reply, UnitState* state);

// Errors that say "not now", from the bus or from a systemd that goes away.
bool IsTransientBusError(const std::string& error);

absl::StatusCode BusErrorCode(const std::string& error);

}  // namespace pinion::os

#endif  // PINION_OS_UNIT_MESSAGES_H_
