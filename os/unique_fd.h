// A file descriptor with one owner.
//
// Not thread-safe; each object belongs to one thread at a time.

#ifndef PINION_OS_UNIQUE_FD_H_
#define PINION_OS_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace pinion::os {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }

  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

  // Closes what it holds. errno is left as it was, so that an error found
  // before stays readable; close(2) of the files used here does not fail in
  // a way that a caller could mend.
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

}  // namespace pinion::os

#endif  // PINION_OS_UNIQUE_FD_H_
