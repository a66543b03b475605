#include "cri/streaming/transport.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <utility>

namespace pinion::cri::streaming {
namespace {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(os::UniqueFd socket) : socket_(std::move(socket)) {}

  int fd() const override { return socket_.get(); }

  Result Read(char* buffer, size_t size, size_t* moved) override {
    return ToResult(recv(socket_.get(), buffer, size, 0), moved);
  }

  Result Write(const char* bytes, size_t size, size_t* moved) override {
    return ToResult(send(socket_.get(), bytes, size, MSG_NOSIGNAL), moved);
  }

  short poll_read() const override { return POLLIN; }
  short poll_write() const override { return POLLOUT; }
  bool HasBuffered() const override { return false; }
  void ShutdownWrite() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  static Result ToResult(ssize_t count, size_t* moved) {
    if (count > 0) {
      *moved = static_cast<size_t>(count);
      return Result::kMoved;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      return Result::kBlocked;
    }
    return Result::kEnd;
  }

  const os::UniqueFd socket_;
};

}  // namespace

std::unique_ptr<Transport> NewPlainTransport(os::UniqueFd socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

}  // namespace pinion::cri::streaming
