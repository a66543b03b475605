#include "runtime/monitor/daemon_link.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/monitor/clock.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {
namespace {

char receive_buffer[kMaxMessage];
// Until accepting is tried again.
constexpr int64_t kPauseNanos = 1'000'000'000;

}  // namespace

// The message's bytes follow the struct.
struct DaemonLink::Queued {
  Queued* next;
  size_t size;
  size_t fd_count;
  int fds[kMaxMessageFds];
};

int DaemonLink::Create(Loop* loop, int listening_socket, Handler* handler) {
  loop_ = loop;
  handler_ = handler;
  return loop->Add(&listener_, listening_socket, EPOLLIN, Acceptable, this);
}

void DaemonLink::ResumeAccepting() {
  if (accepting() || MonotonicNanos() - gave_up_ns_ < kPauseNanos) return;
  Create(loop_, listener_.fd, handler_);
}

void DaemonLink::Acceptable(void* self, uint32_t) {
  static_cast<DaemonLink*>(self)->Accept();
}

void DaemonLink::PeerReady(void* self, uint32_t events) {
  auto* link = static_cast<DaemonLink*>(self);
  if ((events & EPOLLOUT) != 0) link->Flush();
  if ((events & ~uint32_t{EPOLLOUT}) != 0) link->Receive();
}

void DaemonLink::Accept() {
  const int fd =
      accept4(listener_.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      loop_->Remove(&listener_);
      gave_up_ns_ = MonotonicNanos();
    }
    return;
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != 0) {
    close(fd);
    return;
  }
  TakeLastAcks();
  SayReplaced();
  Disconnect();
  Adopt(fd);
}

int DaemonLink::Adopt(int connection) {
  const int error = loop_->Add(&peer_, connection, EPOLLIN, PeerReady, this);
  if (error != 0) {
    close(connection);
    return error;
  }
  ++generation_;
  return 0;
}

void DaemonLink::Receive() {
  for (int i = 0; i < kRequestsPerTurn && idle(); ++i) {
    ReceivedFds fds;
    const int64_t size =
        ReceiveMessage(peer_.fd, receive_buffer, sizeof(receive_buffer), &fds);
    if (size == -EAGAIN) return;
    // The peer died with something unread: what it had sent is still there.
    if (size == -ECONNRESET) continue;
    MessageReader message;
    if (size <= 0 ||
        !message.Parse(receive_buffer, static_cast<size_t>(size))) {
      Disconnect();
      return;
    }
    handler_->OnMessage(message, &fds);
    if (peer_.fd < 0) return;
  }
}

void DaemonLink::TakeLastAcks() {
  while (peer_.fd >= 0) {
    ReceivedFds fds;
    const int64_t size =
        ReceiveMessage(peer_.fd, receive_buffer, sizeof(receive_buffer), &fds);
    if (size == -ECONNRESET) continue;
    if (size <= 0) return;
    MessageReader message;
    if (!message.Parse(receive_buffer, static_cast<size_t>(size))) return;
    if (message.type() == static_cast<uint16_t>(MessageType::kExitAck)) {
      handler_->OnMessage(message, &fds);
    }
  }
}

void DaemonLink::SayReplaced() {
  char buffer[sizeof(MessageHeader)];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kReplaced), 0);
  if (peer_.fd >= 0) SendMessage(peer_.fd, message.Finish(), nullptr, 0);
}

bool DaemonLink::Send(MessageWriter* message) {
  if (peer_.fd < 0 || !message->valid()) return false;
  if (!idle()) return Enqueue(message);
  const int error = SendMessage(peer_.fd, message->Finish(), message->fds(),
                                message->fd_count());
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) {
    return Enqueue(message);
  }
  // Anything else: the peer is gone, as Receive is about to find.
  return error == 0;
}

bool DaemonLink::Enqueue(MessageWriter* message) {
  const std::string_view bytes = message->Finish();
  auto* entry =
      queued_bytes_ + bytes.size() <= kMaxQueued
          ? static_cast<Queued*>(malloc(sizeof(Queued) + bytes.size()))
          : nullptr;
  if (entry == nullptr) {
    Disconnect();
    return false;
  }
  entry->next = nullptr;
  entry->size = bytes.size();
  entry->fd_count = 0;
  memcpy(reinterpret_cast<char*>(entry + 1), bytes.data(), bytes.size());
  for (size_t i = 0; i < message->fd_count(); ++i) {
    const int copy = fcntl(message->fds()[i], F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) entry->fds[entry->fd_count++] = copy;
  }
  if (queue_ == nullptr) {
    queue_ = entry;
    loop_->Change(&peer_, EPOLLOUT);
  } else {
    queue_end_->next = entry;
  }
  queue_end_ = entry;
  queued_bytes_ += bytes.size();
  return true;
}

void DaemonLink::Flush() {
  while (queue_ != nullptr) {
    Queued* entry = queue_;
    const std::string_view bytes(reinterpret_cast<const char*>(entry + 1),
                                 entry->size);
    const int error = SendMessage(peer_.fd, bytes, entry->fds, entry->fd_count);
    if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) return;
    for (size_t i = 0; i < entry->fd_count; ++i) close(entry->fds[i]);
    queue_ = entry->next;
    queued_bytes_ -= entry->size;
    free(entry);
  }
  queue_end_ = nullptr;
  loop_->Change(&peer_, EPOLLIN);
}

void DaemonLink::Disconnect() {
  loop_->Close(&peer_);
  while (queue_ != nullptr) {
    Queued* entry = queue_;
    for (size_t i = 0; i < entry->fd_count; ++i) close(entry->fds[i]);
    queue_ = entry->next;
    free(entry);
  }
  queue_end_ = nullptr;
  queued_bytes_ = 0;
}

}  // namespace pinion::monitor
