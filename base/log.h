// Structured logging: one line per event, a short fixed message and key=value
// fields, so that `journalctl | grep pod=3f2a…` tells a pod's story.
//
//   Log(LogLevel::kInfo, "pod is up", {{"pod", id}, {"ip", ip}});
//
// Thread-safe. Secrets never go into a field.

#ifndef PINION_BASE_LOG_H_
#define PINION_BASE_LOG_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pinion {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  template <typename Number>
  requires std::is_arithmetic_v<Number> LogField(std::string_view k, Number v)
      : key(k), value(std::to_string(v)) {}

  std::string_view key;
  std::string value;
};

enum class LogFormat { kText, kJson };

// Call once, before threads start; without it, text goes to stderr from kInfo
// on. Everything is written to stderr, which journald collects.
void SetUpLogging(LogLevel level, LogFormat format);

// May be called at any time (configuration reload).
void SetLogLevel(LogLevel level);

void Log(LogLevel level, std::string_view message,
         std::initializer_list<LogField> fields = {});

// The same for fields that are only known at run time.
void Log(LogLevel level, std::string_view message,
         const std::vector<LogField>& fields);

// Whether a line of this level is written at all: lets a hot path skip
// collecting its fields.
bool IsLogged(LogLevel level);

}  // namespace pinion

#endif  // PINION_BASE_LOG_H_
