#include "os/unit_messages.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace pinion::os {
namespace {

int AppendProperty(sd_bus_message* message, const UnitProperty& property) {
  const char* name = property.name.c_str();
  if (const auto* flag = std::get_if<bool>(&property.value)) {
    return sd_bus_message_append(message, "(sv)", name, "b", *flag ? 1 : 0);
  }
  if (const auto* number = std::get_if<uint64_t>(&property.value)) {
    return sd_bus_message_append(message, "(sv)", name, "t", *number);
  }
  if (const auto* text = std::get_if<std::string>(&property.value)) {
    return sd_bus_message_append(message, "(sv)", name, "s", text->c_str());
  }
  const auto& list = std::get<std::vector<uint32_t>>(property.value);
  int r = sd_bus_message_open_container(message, 'r', "sv");
  if (r >= 0) r = sd_bus_message_append(message, "s", name);
  if (r >= 0) r = sd_bus_message_open_container(message, 'v', "au");
  if (r >= 0) {
    r = sd_bus_message_append_array(message, 'u', list.data(),
                                    list.size() * sizeof(uint32_t));
  }
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r >= 0) r = sd_bus_message_close_container(message);
  return r;
}

}  // namespace

const char* UnitMethodName(UnitMethod method) {
  switch (method) {
    case UnitMethod::kStart:
      return "StartTransientUnit";
    case UnitMethod::kStop:
      return "StopUnit";
    case UnitMethod::kReset:
      return "ResetFailedUnit";
    case UnitMethod::kSet:
      return "SetUnitProperties";
  }
  return "?";
}

int AppendUnitArguments(sd_bus_message* message, UnitMethod method,
                        const std::string& unit,
                        const std::vector<UnitProperty>& properties) {
  int r = sd_bus_message_append(message, "s", unit.c_str());
  if (r < 0 || method == UnitMethod::kReset) return r;
  if (method == UnitMethod::kSet) {
    // "runtime": as long as the machine is up.
    r = sd_bus_message_append(message, "b", 1);
  } else {
    r = sd_bus_message_append(
        message, "s", method == UnitMethod::kStart ? "fail" : "replace");
  }
  if (r < 0 || method == UnitMethod::kStop) return r;
  r = sd_bus_message_open_container(message, 'a', "(sv)");
  for (const UnitProperty& property : properties) {
    if (r >= 0) r = AppendProperty(message, property);
  }
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r >= 0 && method == UnitMethod::kStart) {
    r = sd_bus_message_append(message, "a(sa(sv))", 0);
  }
  return r;
}

int ReadUnitState(sd_bus_message* reply, UnitState* state) {
  int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
  while (r >= 0) {
    r = sd_bus_message_enter_container(reply, 'e', "sv");
    if (r <= 0) break;
    const char* name = nullptr;
    r = sd_bus_message_read(reply, "s", &name);
    if (r < 0) break;
    const std::string key = name;
    if (key == "ActiveState") {
      const char* value = nullptr;
      r = sd_bus_message_read(reply, "v", "s", &value);
      if (r >= 0) state->active = value;
    } else if (key == "Job") {
      uint32_t id = 0;
      const char* path = nullptr;
      r = sd_bus_message_read(reply, "v", "(uo)", &id, &path);
      state->has_job = id != 0;
    } else {
      r = sd_bus_message_skip(reply, "v");
    }
    if (r >= 0) r = sd_bus_message_exit_container(reply);
  }
  return r;
}

bool IsTransientBusError(const std::string& error) {
  static constexpr const char* kNames[] = {
      "org.freedesktop.DBus.Error.NoReply",
      "org.freedesktop.DBus.Error.Timeout",
      "org.freedesktop.DBus.Error.TimedOut",
      "org.freedesktop.DBus.Error.Disconnected",
      "org.freedesktop.DBus.Error.ServiceUnknown",
      "org.freedesktop.DBus.Error.NameHasNoOwner",
      "org.freedesktop.DBus.Error.LimitsExceeded",
      // A unit that this one needs is being stopped: its job goes first.
      "org.freedesktop.systemd1.TransactionIsDestructive"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&error](const char* name) { return error == name; });
}

absl::StatusCode BusErrorCode(const std::string& error) {
  if (error == "org.freedesktop.DBus.Error.AccessDenied" ||
      error == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") {
    return absl::StatusCode::kPermissionDenied;
  }
  if (error == "org.freedesktop.DBus.Error.InvalidArgs" ||
      error == "org.freedesktop.DBus.Error.PropertyReadOnly") {
    return absl::StatusCode::kInvalidArgument;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace pinion::os
