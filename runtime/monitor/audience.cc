#include "runtime/monitor/audience.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/monitor/clock.h"

namespace pinion::monitor {

AttachedClient* ClientPool::New() {
  if (count_ >= kMaxClients) return nullptr;
  void* memory = malloc(sizeof(AttachedClient));
  if (memory == nullptr) return nullptr;
  ++count_;
  return new (memory) AttachedClient();
}

void ClientPool::Free(AttachedClient* client) {
  --count_;
  client->next = freed_;
  freed_ = client;
}

void ClientPool::Sweep() {
  while (freed_ != nullptr) {
    AttachedClient* client = freed_;
    freed_ = client->next;
    free(client);
  }
}

void Audience::Init(Loop* loop, ClientPool* pool,
                    void (*caught_up)(void* context, int stream),
                    void* context) {
  loop_ = loop;
  pool_ = pool;
  caught_up_ = caught_up;
  context_ = context;
}

int Audience::Add(const AttachMessage& message) {
  AttachedClient* client = pool_->New();
  int error = client == nullptr ? EAGAIN : 0;
  const int fds[] = {message.stdout_fd, message.stderr_fd, message.control_fd};
  for (const int fd : fds) {
    if (fd < 0 || error != 0) continue;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) error = errno;
  }
  // No event but EPOLLERR: nobody reads it any more, the client has left.
  if (error == 0) {
    error = loop_->Add(&client->control, message.control_fd, 0, ControlReady,
                       client);
  }
  if (error != 0) {
    for (const int fd : fds) {
      if (fd >= 0) close(fd);
    }
    if (client != nullptr) pool_->Free(client);
    return error;
  }
  client->audience = this;
  client->outputs[kStdout].room.fd = message.stdout_fd;
  client->outputs[kStderr].room.fd = message.stderr_fd;
  client->next = first_;
  first_ = client;
  return 0;
}

size_t Audience::Send(AttachedClient* client, int stream, const char* data,
                      size_t size) {
  AttachedClient::Output& output = client->outputs[stream];
  size_t sent = 0;
  while (sent < size) {
    const ssize_t count = write(output.room.fd, data + sent, size - sent);
    if (count >= 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      loop_->Close(&output.room);
      return size;
    }
  }
  return sent;
}

void Audience::Write(int stream, const char* data, size_t size) {
  if (ended_) return;
  // First who needs it kept: the backlog's end is where all of them stand.
  bool keep = false;
  for (AttachedClient* client = first_; client != nullptr;
       client = client->next) {
    AttachedClient::Output& output = client->outputs[stream];
    if (output.room.fd < 0) continue;
    const size_t sent =
        output.behind > 0 ? 0 : Send(client, stream, data, size);
    if (sent == size) continue;
    SetBehind(client, stream, output.behind + size - sent);
    keep = true;
  }
  if (!keep || Keep(stream, data, size)) return;
  const AttachEnd end = {AttachEnd::kTooSlow, 0};
  AttachedClient* next = nullptr;
  for (AttachedClient* client = first_; client != nullptr; client = next) {
    next = client->next;
    if (client->outputs[stream].behind > 0) LetGo(client, &end);
  }
}

bool Audience::Keep(int stream, const char* data, size_t size) {
  Backlog& backlog = backlogs_[stream];
  if (backlog.size + size > kMaxBacklog) return false;
  auto* grown = static_cast<char*>(realloc(backlog.data, backlog.size + size));
  if (grown == nullptr) return false;
  memcpy(grown + backlog.size, data, size);
  backlog = {grown, backlog.size + size};
  return true;
}

void Audience::SetBehind(AttachedClient* client, int stream, size_t behind) {
  AttachedClient::Output& output = client->outputs[stream];
  if (output.behind == 0 && behind > 0) {
    output.since_ns = MonotonicNanos();
    ++pool_->behind_;
    // Without the watch it is let go when its time is over.
    (void)loop_->Add(&output.room, output.room.fd, EPOLLOUT,
                     stream == kStdout ? StdoutReady : StderrReady, client);
  } else if (output.behind > 0 && behind == 0) {
    --pool_->behind_;
    loop_->Remove(&output.room);
  }
  output.behind = behind;
}

void Audience::Shrink(int stream) {
  Backlog& backlog = backlogs_[stream];
  if (backlog.size == 0) return;
  for (const AttachedClient* client = first_; client != nullptr;
       client = client->next) {
    if (client->outputs[stream].behind > 0) return;
  }
  free(backlog.data);
  backlog = {};
  if (!ended_) caught_up_(context_, stream);
}

void Audience::Flush(AttachedClient* client, int stream) {
  AttachedClient::Output& output = client->outputs[stream];
  const Backlog& backlog = backlogs_[stream];
  const size_t sent =
      Send(client, stream, backlog.data + backlog.size - output.behind,
           output.behind);
  SetBehind(client, stream, output.behind - sent);
  Shrink(stream);
  TellIfDone(client);
}

void Audience::StdoutReady(void* context, uint32_t) {
  auto* client = static_cast<AttachedClient*>(context);
  client->audience->Flush(client, kStdout);
}

void Audience::StderrReady(void* context, uint32_t) {
  auto* client = static_cast<AttachedClient*>(context);
  client->audience->Flush(client, kStderr);
}

void Audience::ControlReady(void* context, uint32_t) {
  auto* client = static_cast<AttachedClient*>(context);
  client->audience->LetGo(client, nullptr);
}

void Audience::End(int32_t exit_code) {
  ended_ = true;
  exit_code_ = exit_code;
  AttachedClient* next = nullptr;
  for (AttachedClient* client = first_; client != nullptr; client = next) {
    next = client->next;
    TellIfDone(client);
  }
}

void Audience::TellIfDone(AttachedClient* client) {
  if (!ended_ || client->outputs[kStdout].behind > 0 ||
      client->outputs[kStderr].behind > 0) {
    return;
  }
  const AttachEnd end = {AttachEnd::kEnded, exit_code_};
  LetGo(client, &end);
}

void Audience::DropStalled(int64_t now_ns) {
  const AttachEnd end = {AttachEnd::kTooSlow, 0};
  AttachedClient* next = nullptr;
  for (AttachedClient* client = first_; client != nullptr; client = next) {
    next = client->next;
    for (const AttachedClient::Output& output : client->outputs) {
      if (output.behind > 0 && now_ns - output.since_ns > kPatienceNanos) {
        LetGo(client, &end);
        break;
      }
    }
  }
}

void Audience::LetGo(AttachedClient* client, const AttachEnd* end) {
  AttachedClient** link = &first_;
  while (*link != client) link = &(*link)->next;
  *link = client->next;
  for (int stream : {kStdout, kStderr}) {
    SetBehind(client, stream, 0);
    loop_->Close(&client->outputs[stream].room);
  }
  // Its pipe is empty, so there is room.
  if (end != nullptr) (void)!write(client->control.fd, end, sizeof(*end));
  loop_->Close(&client->control);
  pool_->Free(client);
  Shrink(kStdout);
  Shrink(kStderr);
}

void Audience::CloseAll() {
  const AttachEnd end = {AttachEnd::kTooSlow, 0};
  ended_ = true;
  while (first_ != nullptr) LetGo(first_, &end);
}

}  // namespace pinion::monitor
