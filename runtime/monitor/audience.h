// The clients attached to one container: what it writes goes to each of them,
// and they learn of its end.
//
// A client that reads too slowly holds the container back, not the others for
// long: what a client's pipe does not take is kept, and nothing more is read
// of that stream until every client has it. A client that has not taken it
// within kPatienceNanos is let go. So no client loses a byte unnoticed, as
// `kubectl run -i … > file` needs; a container waits for a client that has
// stopped for so long at most, and so do its log's lines; memory is bounded by
// one read for each stream, and kMaxBacklog at the container's end.
//
// Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_AUDIENCE_H_
#define PINION_RUNTIME_MONITOR_AUDIENCE_H_

#include <cstddef>
#include <cstdint>

#include "runtime/monitor/loop.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {

class Audience;

struct AttachedClient {
  struct Output {
    Watch room;            // its fd is the pipe; watched while it is behind
    size_t behind = 0;     // bytes at the end of the backlog it has not got
    int64_t since_ns = 0;  // monotonic: behind since
  };
  AttachedClient* next = nullptr;
  Audience* audience = nullptr;
  Watch control;
  Output outputs[2];
};

// Memory of the clients of all containers. Freed ones stay readable until
// Sweep, as the loop may still hold an event of theirs.
class ClientPool {
 public:
  static constexpr size_t kMaxClients = 128;

  // Null when there are too many, or no memory.
  AttachedClient* New();
  void Free(AttachedClient* client);
  void Sweep();
  // Clients that are behind in a stream.
  size_t behind() const { return behind_; }

 private:
  friend class Audience;
  AttachedClient* freed_ = nullptr;
  size_t count_ = 0;
  size_t behind_ = 0;
};

class Audience {
 public:
  static constexpr int kStdout = 0;
  static constexpr int kStderr = 1;
  static constexpr int64_t kPatienceNanos = 10'000'000'000;
  // At the end of a container its pipe (64 KiB) is read at once.
  static constexpr size_t kMaxBacklog = 256 * 1024;

  Audience() = default;
  ~Audience() { CloseAll(); }
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;

  // Both outlive it. `caught_up` is called when a stream may be read again.
  void Init(Loop* loop, ClientPool* pool,
            void (*caught_up)(void* context, int stream), void* context);

  // Takes the message's descriptors, also on an error. 0 or errno (EAGAIN:
  // there are too many clients).
  int Add(const AttachMessage& message);

  void Write(int stream, const char* data, size_t size);
  // Somebody is behind: read no more until `caught_up`.
  bool holds_back(int stream) const {
    return !ended_ && backlogs_[stream].size > 0;
  }

  // The container has ended, everything was written. Each client is told once
  // it has got it all.
  void End(int32_t exit_code);

  // Lets those go who have not read for too long.
  void DropStalled(int64_t now_ns);
  void CloseAll();

 private:
  struct Backlog {
    char* data = nullptr;
    size_t size = 0;
  };

  static void ControlReady(void* client, uint32_t events);
  static void StdoutReady(void* client, uint32_t events);
  static void StderrReady(void* client, uint32_t events);

  // Writes what the pipe takes now; how much, the rest is left. A pipe that
  // nobody reads is closed.
  size_t Send(AttachedClient* client, int stream, const char* data,
              size_t size);
  void Flush(AttachedClient* client, int stream);
  // False: no memory, or too much.
  bool Keep(int stream, const char* data, size_t size);
  void SetBehind(AttachedClient* client, int stream, size_t behind);
  // Drops what everybody has got.
  void Shrink(int stream);
  void TellIfDone(AttachedClient* client);
  void LetGo(AttachedClient* client, const AttachEnd* end);

  Loop* loop_ = nullptr;
  ClientPool* pool_ = nullptr;
  void (*caught_up_)(void* context, int stream) = nullptr;
  void* context_ = nullptr;
  AttachedClient* first_ = nullptr;
  Backlog backlogs_[2];
  bool ended_ = false;
  int32_t exit_code_ = 0;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_AUDIENCE_H_
