// Writes down what a mux tells of its peer.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_PEER_LOG_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_PEER_LOG_H_

#include <map>
#include <set>
#include <string>

#include "cri/streaming/stream_mux.h"

namespace pinion::cri::streaming {

class PeerLog : public PeerEvents {
 public:
  bool OnOpen(StreamId id, const StreamHeaders& headers) override {
    if (!accept) return false;
    opened[id] = headers;
    return true;
  }
  void OnData(StreamId id, std::string_view bytes) override {
    data[id] += bytes;
  }
  void OnFinish(StreamId id) override { finished.insert(id); }
  void OnReset(StreamId id) override { reset.insert(id); }

  bool accept = true;
  std::map<StreamId, StreamHeaders> opened;
  std::map<StreamId, std::string> data;
  std::set<StreamId> finished;
  std::set<StreamId> reset;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_PEER_LOG_H_
