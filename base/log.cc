#include "base/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>

namespace pinion {
namespace {

std::atomic<LogFormat> g_format = LogFormat::kText;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    spdlog::sink_ptr sink;
    if (isatty(STDERR_FILENO) != 0) {
      sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    }
    // Never destroyed: threads may still log while the process ends.
    auto* made = new spdlog::logger("pinion", std::move(sink));
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

void AppendQuoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
      out += escaped;
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' ||
        c == 0x7f || c == '\\') {
      return true;
    }
  }
  return false;
}

template <typename Fields>
std::string Format(std::string_view message, const Fields& fields) {
  std::string line;
  if (g_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    line = "{\"msg\":";
    AppendQuoted(line, message);
    for (const LogField& field : fields) {
      line.push_back(',');
      AppendQuoted(line, field.key);
      line.push_back(':');
      AppendQuoted(line, field.value);
    }
    line.push_back('}');
    return line;
  }
  line = message;
  for (const LogField& field : fields) {
    line.push_back(' ');
    line += field.key;
    line.push_back('=');
    if (NeedsQuotes(field.value)) {
      AppendQuoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  return line;
}

void Write(LogLevel level, const std::string& line) {
  Logger().log(ToSpdlog(level),
               spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void SetUpLogging(LogLevel level, LogFormat format) {
  g_format.store(format, std::memory_order_relaxed);
  SetLogLevel(level);
}

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

void Log(LogLevel level, std::string_view message,
         std::initializer_list<LogField> fields) {
  if (IsLogged(level)) Write(level, Format(message, fields));
}

void Log(LogLevel level, std::string_view message,
         const std::vector<LogField>& fields) {
  if (IsLogged(level)) Write(level, Format(message, fields));
}

bool IsLogged(LogLevel level) { return Logger().should_log(ToSpdlog(level)); }

}  // namespace pinion
