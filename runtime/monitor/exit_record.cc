#include "runtime/monitor/exit_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/monitor/text.h"

namespace pinion::monitor {
namespace {

constexpr std::string_view kFirstLine = "pinion-exit 1";
constexpr size_t kMaxError = 512;

// Takes the next line off `text`; false at the end or if it has no newline.
bool NextLine(std::string_view* text, std::string_view* line) {
  for (size_t i = 0; i < text->size(); ++i) {
    if ((*text)[i] != '\n') continue;
    *line = std::string_view(text->data(), i);
    text->remove_prefix(i + 1);
    return true;
  }
  return false;
}

bool IsKey(std::string_view line, std::string_view key,
           std::string_view* value) {
  if (line.size() <= key.size() || line[key.size()] != ' ' ||
      memcmp(line.data(), key.data(), key.size()) != 0) {
    return false;
  }
  line.remove_prefix(key.size() + 1);
  *value = line;
  return true;
}

bool ParseLine(std::string_view line, ExitMessage* exit) {
  std::string_view value;
  int64_t number = 0;
  if (IsKey(line, "id", &value)) {
    exit->id = value;
    return true;
  }
  if (IsKey(line, "error", &value)) {
    exit->error = value;
    return true;
  }
  if (IsKey(line, "code", &value)) {
    if (!ParseNumber(value, &number)) return false;
    exit->code = static_cast<int32_t>(number);
  } else if (IsKey(line, "signal", &value)) {
    if (!ParseNumber(value, &number)) return false;
    exit->signal = static_cast<int32_t>(number);
  } else if (IsKey(line, "oom", &value)) {
    if (!ParseNumber(value, &number)) return false;
    exit->oom_killed = number != 0;
  } else if (IsKey(line, "finished", &value)) {
    return ParseNumber(value, &exit->finished_at_ns);
  } else if (IsKey(line, "dropped", &value)) {
    if (!ParseNumber(value, &number)) return false;
    exit->dropped_lines = static_cast<uint64_t>(number);
  }
  return true;
}

}  // namespace

size_t FormatExitRecord(const ExitMessage& exit, char* buffer,
                        size_t capacity) {
  FixedText<kMaxExitRecord> text;
  text.Add(kFirstLine).Add("\nid ").Add(exit.id);
  text.Add("\ncode ").AddNumber(exit.code);
  text.Add("\nsignal ").AddNumber(exit.signal);
  text.Add("\noom ").AddNumber(exit.oom_killed ? 1 : 0);
  text.Add("\nfinished ").AddNumber(exit.finished_at_ns);
  text.Add("\ndropped ").AddNumber(static_cast<int64_t>(exit.dropped_lines));
  if (!exit.error.empty()) {
    text.Add("\nerror ");
    size_t length = 0;
    for (const char c : exit.error) {
      if (++length > kMaxError) break;
      const char shown = c == '\n' || c == '\r' || c == '\0' ? ' ' : c;
      text.Add(std::string_view(&shown, 1));
    }
  }
  text.Add("\nend\n");
  const size_t size = text.size() < capacity ? text.size() : capacity;
  memcpy(buffer, text.c_str(), size);
  return size;
}

bool ParseExitRecord(std::string_view text, ExitMessage* exit) {
  *exit = ExitMessage();
  std::string_view line;
  if (!NextLine(&text, &line) || line != kFirstLine) return false;
  while (NextLine(&text, &line)) {
    if (line == "end") return IsMonitorId(exit->id);
    if (!ParseLine(line, exit)) return false;
  }
  return false;
}

int WriteExitRecord(int pod_dir, const ExitMessage& exit) {
  if (mkdirat(pod_dir, kExitsDir, 0700) != 0 && errno != EEXIST) return errno;
  FixedText<kMaxId + 32> path;
  path.Add(kExitsDir).Add("/").Add(exit.id);
  FixedText<kMaxId + 32> temporary;
  temporary.Add(kExitsDir).Add("/.").Add(exit.id);

  char record[kMaxExitRecord];
  const size_t size = FormatExitRecord(exit, record);
  const int fd =
      openat(pod_dir, temporary.c_str(),
             O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const ssize_t written = write(fd, record, size);
  int error = written < 0 ? errno : 0;
  if (written >= 0 && static_cast<size_t>(written) != size) error = ENOSPC;
  close(fd);
  if (error == 0 &&
      renameat(pod_dir, temporary.c_str(), pod_dir, path.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) unlinkat(pod_dir, temporary.c_str(), 0);
  return error;
}

}  // namespace pinion::monitor
