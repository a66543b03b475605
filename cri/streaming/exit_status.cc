#include "cri/streaming/exit_status.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace pinion::cri::streaming {
namespace {

// From here on the error stream has JSON.
constexpr int kStatusVersion = 4;

std::string Render(const nlohmann::json& status) {
  // A program's name in the message may be no UTF-8.
  return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string StatusJson(const absl::StatusOr<int32_t>& outcome,
                       const std::string& message) {
  nlohmann::json status = {{"metadata", nlohmann::json::object()}};
  if (outcome.ok() && *outcome == 0) {
    status["status"] = "Success";
    return Render(status);
  }
  status["status"] = "Failure";
  status["message"] = message;
  if (outcome.ok()) {
    status["reason"] = "NonZeroExitCode";
    status["details"]["causes"] = {
        {{"reason", "ExitCode"}, {"message", std::to_string(*outcome)}}};
  } else {
    status["reason"] = "InternalError";
    status["code"] = 500;
  }
  return Render(status);
}

// One dimension; false if it is missing or out of range.
bool Dimension(const nlohmann::json& object, const char* name, uint16_t* out) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  const auto value = found->get<uint64_t>();
  if (value > UINT16_MAX) return false;
  *out = static_cast<uint16_t>(value);
  return true;
}

}  // namespace

std::string ExitText(int version, const absl::StatusOr<int32_t>& outcome) {
  std::string message;
  if (!outcome.ok()) {
    message = std::string(outcome.status().message());
  } else if (*outcome != 0) {
    message = absl::StrCat("command terminated with exit code ", *outcome);
  }
  return version >= kStatusVersion ? StatusJson(outcome, message) : message;
}

bool TakeTerminalSize(std::string* buffer, TerminalSize* size) {
  bool any = false;
  size_t end;
  while ((end = buffer->find('}')) != std::string::npos) {
    const nlohmann::json object = nlohmann::json::parse(
        buffer->begin(), buffer->begin() + static_cast<ptrdiff_t>(end) + 1,
        nullptr, false);
    buffer->erase(0, end + 1);
    TerminalSize parsed;
    if (object.is_object() && Dimension(object, "Width", &parsed.columns) &&
        Dimension(object, "Height", &parsed.rows)) {
      *size = parsed;
      any = true;
    }
  }
  if (buffer->size() > kMaxResizeBuffer) buffer->clear();
  return any;
}

}  // namespace pinion::cri::streaming
