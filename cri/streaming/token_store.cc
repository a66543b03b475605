#include "cri/streaming/token_store.h"

#include <sys/random.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::cri::streaming {
namespace {

constexpr size_t kTokenBytes = 16;

absl::StatusOr<std::string> NewToken() {
  std::string bytes(kTokenBytes, '\0');
  ssize_t count;
  do {
    // Up to 256 bytes come whole once the pool is initialised (getrandom(2)).
    count = getrandom(bytes.data(), bytes.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count != static_cast<ssize_t>(bytes.size())) {
    return os::ErrnoStatus("getrandom");
  }
  return absl::BytesToHexString(bytes);
}

}  // namespace

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kExec:
      return "exec";
    case Kind::kAttach:
      return "attach";
    case Kind::kPortForward:
      return "portforward";
  }
  return "";
}

namespace {

size_t Size(const Request& request) {
  size_t size = 0;
  for (const std::string& word : request.command) size += word.size();
  return size;
}

}  // namespace

absl::StatusOr<std::string> TokenStore::Add(Request request) {
  PINION_ASSIGN_OR_RETURN(const std::string token, NewToken());
  std::string path = absl::StrCat("/", KindName(request.kind), "/", token);
  const absl::MutexLock lock(&mutex_);
  DropExpired();
  const size_t bytes = Size(request);
  if (waiting_.size() >= kMaxWaiting ||
      bytes > kMaxWaitingBytes - waiting_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(waiting_.size(), " streaming URLs with ", waiting_bytes_,
                     " bytes of commands wait for their clients; try again in "
                     "a minute"));
  }
  waiting_bytes_ += bytes;
  waiting_.push_back({path, std::move(request), clock_.Now() + kLifetime});
  by_path_.emplace(path, std::prev(waiting_.end()));
  return path;
}

std::optional<Request> TokenStore::Take(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  DropExpired();
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return std::nullopt;
  return Remove(found->second);
}

Request TokenStore::Remove(Waitings::iterator found) {
  Request request = std::move(found->request);
  by_path_.erase(found->path);
  waiting_.erase(found);
  waiting_bytes_ -= Size(request);
  return request;
}

void TokenStore::DropExpired() {
  const Clock::MonotonicTime now = clock_.Now();
  while (!waiting_.empty() && waiting_.front().deadline <= now) {
    (void)Remove(waiting_.begin());
  }
}

}  // namespace pinion::cri::streaming
