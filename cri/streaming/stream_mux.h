// Several byte streams on one connection: SPDY/3.1, WebSocket channels, or
// SPDY within WebSocket, behind one interface.
//
// A state machine without I/O: bytes go in by Receive, bytes to send collect
// until TakeOutput. Not thread-safe; one session owns it.
//
// Bounded: a mux keeps no payload of the peer, it hands it on at once. What
// it has to send is bounded by its user, who stops calling Send and Receive
// while PendingOutput() is large.

#ifndef PINION_CRI_STREAMING_STREAM_MUX_H_
#define PINION_CRI_STREAMING_STREAM_MUX_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace pinion::cri::streaming {

using StreamId = uint32_t;
// Names in lower case.
using StreamHeaders = std::map<std::string, std::string>;

// What the peer does. Calls come from within Receive; all but OnOpen, whose
// stream is not answered yet, may call Send, Finish and Reset of the mux.
class PeerEvents {
 public:
  virtual ~PeerEvents() = default;
  // False refuses the stream.
  virtual bool OnOpen(StreamId id, const StreamHeaders& headers) = 0;
  virtual void OnData(StreamId id, std::string_view bytes) = 0;
  // The peer sends no more on it.
  virtual void OnFinish(StreamId id) = 0;
  // The peer wants no more of it, either way; the id is gone.
  virtual void OnReset(StreamId id) = 0;
};

class StreamMux {
 public:
  virtual ~StreamMux() = default;

  // Bytes of the connection. An error ends the connection: the peer broke the
  // protocol; what TakeOutput has may say so.
  virtual absl::Status Receive(std::string_view bytes, PeerEvents& events) = 0;
  // The peer has said goodbye: nothing more comes.
  virtual bool PeerClosed() const = 0;

  // Ids that are unknown or finished by us are ignored.
  virtual void Send(StreamId id, std::string_view bytes) = 0;
  virtual void Finish(StreamId id) = 0;
  virtual void Reset(StreamId id) = 0;
  // How many bytes the peer lets us send on this stream.
  virtual size_t SendWindow(StreamId id) const = 0;
  // So many bytes from OnData have been passed on.
  virtual void Consumed(StreamId id, size_t bytes) = 0;

  // Sends something that the peer ignores: it makes TCP tell whether there is
  // still a peer.
  virtual void Probe() = 0;

  // Our goodbye, after which nothing is sent.
  virtual void Close() = 0;

  virtual size_t PendingOutput() const = 0;
  // Appends what is to be sent and forgets it.
  virtual void TakeOutput(std::string* out) = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_STREAM_MUX_H_
