#include "runtime/monitor/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

namespace pinion::monitor {
namespace {

template <size_t kSize>
std::string_view ReadSmallFile(int dir, const char* path,
                               char (&buffer)[kSize]) {
  const int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t size = read(fd, buffer, kSize);
  close(fd);
  return size < 0 ? std::string_view()
                  : std::string_view(buffer, static_cast<size_t>(size));
}

// The text up to the next `end`, taken off *text.
std::string_view TakeUntil(std::string_view* text, char end) {
  size_t size = 0;
  while (size < text->size() && (*text)[size] != end) ++size;
  const std::string_view taken(text->data(), size);
  text->remove_prefix(size < text->size() ? size + 1 : size);
  return taken;
}

}  // namespace

Process* ProcessTable::New() {
  if (count_ >= kMaxProcesses) return nullptr;
  void* memory = malloc(sizeof(Process));
  if (memory == nullptr) return nullptr;
  auto* process = new (memory) Process();
  // At the end, so that reports come in the order of the starts.
  Process** end = &first_;
  while (*end != nullptr) end = &(*end)->next;
  *end = process;
  ++count_;
  return process;
}

Process* ProcessTable::Find(std::string_view id) const {
  for (Process* process = first_; process != nullptr; process = process->next) {
    if (process->id.view() == id) return process;
  }
  return nullptr;
}

Process* ProcessTable::FindPid(pid_t pid) const {
  for (Process* process = first_; process != nullptr; process = process->next) {
    if (process->pid == pid && process->state != ProcessState::kEnded) {
      return process;
    }
  }
  return nullptr;
}

void ProcessTable::Free(Process* process) {
  Process** link = &first_;
  while (*link != nullptr && *link != process) link = &(*link)->next;
  if (*link == nullptr) return;
  *link = process->next;
  --count_;
  process->next = freed_;
  freed_ = process;
}

void ProcessTable::Sweep() {
  while (freed_ != nullptr) {
    Process* process = freed_;
    freed_ = process->next;
    process->~Process();
    free(process);
  }
}

int64_t ReadKernelCounter(int dir, const char* file, std::string_view key,
                          int64_t fallback) {
  char buffer[1024];
  std::string_view text = ReadSmallFile(dir, file, buffer);
  while (!text.empty()) {
    std::string_view line = TakeUntil(&text, '\n');
    int64_t value = 0;
    if (TakeUntil(&line, ' ') == key && ParseNumber(line, &value)) {
      return value;
    }
  }
  return fallback;
}

}  // namespace pinion::monitor
