#include "runtime/monitor/output_stream.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/monitor/clock.h"

namespace pinion::monitor {
namespace {

// Shared by all streams: a read is formatted and written before the next.
char read_buffer[32 * 1024];

// The most a pipe can hold without a privileged F_SETPIPE_SZ.
constexpr size_t kDrainLimit = 1024 * 1024;

}  // namespace

int OutputStream::Open(Loop* loop, int fd, int stream, LogFile* log,
                       Audience* audience, void (*closed)(void* context),
                       void* context) {
  loop_ = loop;
  stream_ = stream;
  log_ = log;
  audience_ = audience;
  closed_ = closed;
  context_ = context;
  const int flags = fcntl(fd, F_GETFL);
  int error = 0;
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) error = errno;
  if (error == 0) error = loop->Add(&watch_, fd, EPOLLIN, Ready, this);
  if (error != 0) close(fd);
  return error;
}

void OutputStream::Ready(void* self, uint32_t) {
  size_t size = 0;
  auto* stream = static_cast<OutputStream*>(self);
  stream->ReadOnce(&size);
  if (!stream->is_open()) stream->closed_(stream->context_);
}

const char* OutputStream::name() const {
  return stream_ == Audience::kStdout ? "stdout" : "stderr";
}

bool OutputStream::ReadOnce(size_t* size) {
  const ssize_t count = read(watch_.fd, read_buffer, sizeof(read_buffer));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    // The end; for a pty's controlling side that is EIO.
    Close();
    return false;
  }
  *size = static_cast<size_t>(count);
  LogBatch batch;
  size_t at = 0;
  while (at < *size) {
    batch.Start(WallNanos(), name());
    at += formatter_.Format(read_buffer + at, *size - at, &batch);
    log_->Append(batch);
  }
  audience_->Write(stream_, read_buffer, *size);
  // Not by an empty set of events: a hang-up would still be reported.
  if (audience_->holds_back(stream_)) loop_->Remove(&watch_);
  return true;
}

void OutputStream::Resume() {
  if (!is_open() || watch_.active()) return;
  // What cannot be watched would never be read.
  if (loop_->Add(&watch_, watch_.fd, EPOLLIN, Ready, this) != 0) Close();
}

void OutputStream::Drain() {
  size_t total = 0;
  size_t size = 0;
  while (is_open() && total < kDrainLimit && ReadOnce(&size)) total += size;
}

void OutputStream::Close() {
  if (!is_open()) return;
  LogBatch batch;
  batch.Start(WallNanos(), name());
  formatter_.Finish(&batch);
  log_->Append(batch);
  loop_->Close(&watch_);
}

}  // namespace pinion::monitor
