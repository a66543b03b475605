#include "runtime/cgroup/protection.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "os/file.h"
#include "runtime/cgroup/limit_table.h"

namespace pinion::cgroup {
namespace {

uint64_t Sum(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t Parse(const std::string& text) {
  return ParseBytes(std::string(absl::StripAsciiWhitespace(text))).value_or(0);
}

uint64_t Read(int dir, const char* file) {
  const auto text = os::ReadFileAt(dir, file);
  return text.ok() ? Parse(*text) : 0;
}

bool IsBelow(const std::string& path, const std::string& above) {
  return absl::StartsWith(path, above) && path[above.size()] == '/';
}

std::string Text(uint64_t bytes) {
  return bytes == UINT64_MAX ? "max" : absl::StrCat(bytes);
}

}  // namespace

void Protection::Add(const Protection& other) {
  min = Sum(min, other.min);
  low = Sum(low, other.low);
}

std::vector<Setting> Protection::ToSettings() const {
  return {{"memory.min", Text(min)}, {"memory.low", Text(low)}};
}

Protection ProtectionOf(int dir) {
  return {Read(dir, "memory.min"), Read(dir, "memory.low")};
}

Protection Promises::Ask(const std::string& path,
                         const std::vector<Setting>& settings) {
  const absl::MutexLock lock(&mutex_);
  const auto known = leaves_.find(path);
  const Protection before =
      known == leaves_.end() ? Protection() : known->second;
  Protection now = before;
  for (const Setting& setting : settings) {
    if (setting.file == "memory.min") now.min = Parse(setting.value);
    if (setting.file == "memory.low") now.low = Parse(setting.value);
  }
  if (now != Protection()) {
    leaves_[path] = now;
  } else {
    leaves_.erase(path);
  }
  return before;
}

void Promises::Set(const std::string& path, const Protection& protection) {
  (void)Ask(path, protection.ToSettings());
}

bool Promises::End(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  const bool leaf = leaves_.erase(path) != 0;
  if (leaf) owed_.insert(path.substr(0, path.rfind('/')));
  // Of a pod nothing more is asked.
  owed_.erase(path);
  return std::erase_if(leaves_,
                       [&path](const auto& other) {
                         return IsBelow(other.first, path);
                       }) != 0 ||
         leaf;
}

bool Promises::IsOwed(const std::string& pod_path) const {
  const absl::MutexLock lock(&mutex_);
  return owed_.count(pod_path) != 0;
}

bool Promises::Settle(const std::string& pod_path) {
  const absl::MutexLock lock(&mutex_);
  return owed_.erase(pod_path) != 0;
}

void Promises::Owe(const std::string& pod_path) {
  const absl::MutexLock lock(&mutex_);
  owed_.insert(pod_path);
}

Protection Promises::SumBelow(const std::string& pod_path) const {
  const absl::MutexLock lock(&mutex_);
  Protection sum;
  for (const auto& [path, protection] : leaves_) {
    if (IsBelow(path, pod_path)) sum.Add(protection);
  }
  return sum;
}

}  // namespace pinion::cgroup
