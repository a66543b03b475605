// The monitor's end of the connection to the daemon: accepts, receives, and
// queues what the daemon does not read at once.
//
// One daemon at a time: a newer connection replaces the older. While answers
// wait to be read no further request is read, so the queue is bounded by the
// number of processes; a daemon that lets it grow to kMaxQueued bytes is
// disconnected (it learns everything again when it comes back).
//
// Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_DAEMON_LINK_H_
#define PINION_RUNTIME_MONITOR_DAEMON_LINK_H_

#include <cstddef>
#include <cstdint>

#include "runtime/monitor/loop.h"
#include "runtime/monitor/protocol.h"

namespace pinion::monitor {

class DaemonLink {
 public:
  class Handler {
   public:
    virtual void OnMessage(const MessageReader& message, ReceivedFds* fds) = 0;

   protected:
    ~Handler() = default;
  };

  // `listening_socket` is bound and listens. 0 or errno.
  int Create(Loop* loop, int listening_socket, Handler* handler);

  // A connection that is there already; becomes the link's. 0 or errno.
  int Adopt(int connection);

  // Counts connections: an answer belongs to the connection its request came
  // over. 0: nobody is connected.
  uint64_t connection() const { return peer_.fd >= 0 ? generation_ : 0; }

  // Sends, or queues with copies of the descriptors. False: dropped, as nobody
  // is connected or the daemon is gone.
  bool Send(MessageWriter* message);
  // Accepting is given up for a second when there are no descriptors to be
  // had, as the loop would only spin. To be called with every turn.
  void ResumeAccepting();
  bool accepting() const { return listener_.active(); }
  // Nothing waits to be sent.
  bool idle() const { return queue_ == nullptr; }

 private:
  struct Queued;
  static constexpr size_t kMaxQueued = size_t{4} << 20;
  // Requests served in one turn of the loop.
  static constexpr int kRequestsPerTurn = 16;

  static void Acceptable(void* self, uint32_t events);
  static void PeerReady(void* self, uint32_t events);

  void Accept();
  void Receive();
  void Flush();
  bool Enqueue(MessageWriter* message);
  void Disconnect();
  // A daemon that died or was replaced has acknowledged what its socket still
  // holds.
  void TakeLastAcks();
  // So that the older connection does not take us for dead.
  void SayReplaced();

  Loop* loop_ = nullptr;
  Handler* handler_ = nullptr;
  Watch listener_;
  Watch peer_;
  uint64_t generation_ = 0;
  int64_t gave_up_ns_ = 0;
  Queued* queue_ = nullptr;
  Queued* queue_end_ = nullptr;
  size_t queued_bytes_ = 0;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_DAEMON_LINK_H_
