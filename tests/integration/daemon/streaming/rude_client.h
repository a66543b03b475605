// A client of the streaming server that goes away at a random point, in a
// random way: what kubectl does when it is killed, or its network.
//
// Not thread-safe; each thread has one of its own.

#ifndef PINION_TESTS_INTEGRATION_DAEMON_STREAMING_RUDE_CLIENT_H_
#define PINION_TESTS_INTEGRATION_DAEMON_STREAMING_RUDE_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "runtime/v1/api.pb.h"
#include "tests/unit/cri/streaming/client.h"
#include "tools/cri_client.h"

namespace pinion::testing {

// What it asks for.
struct RudeTargets {
  const tools::CriClient* client = nullptr;
  std::string pod;        // with a server on `port`
  std::string container;  // commands are executed in it
  std::string talker;     // attached to: it writes, and reads its stdin
  uint16_t port = 0;
  // How many URLs may yet be left unused: the daemon keeps each for a minute,
  // and no more than 1,024.
  std::atomic<int>* unused_urls = nullptr;
};

class RudeClient {
 public:
  enum class Kind { kExec, kAttach, kPortForward };

  // The same seed does the same, but for what the server's timing decides.
  RudeClient(RudeTargets targets, uint32_t seed)
      : targets_(std::move(targets)), random_(seed) {}

  // One session, from the RPC that gives the URL. The test fails if that does.
  void Run(Kind kind);

  // How often it left where: "in mid-output".
  const std::map<std::string, int>& left() const { return left_; }
  // Sessions whose upgrade was answered.
  int upgraded() const { return upgraded_; }

 private:
  enum class Carrier { kSpdy, kWebSocket, kTunnel };
  // Stream or channel ids by name.
  using Streams = std::map<std::string, uint32_t>;

  uint32_t Below(uint32_t bound) {
    return static_cast<uint32_t>(random_() % bound);
  }
  std::string Text(size_t size);

  std::string Url(Kind kind);
  std::string ExecUrl();
  // Everything the client would send up to its first waiting.
  std::string Head(const std::string& path, Kind kind);
  std::string Opening(Kind kind);
  std::string SpdyOpening(Kind kind);
  std::string Input(uint32_t stream, const std::string& bytes);
  std::string Wrap(const std::string& bytes) const;

  // Whether it does not use the URL at all.
  bool LeavesUrl() { return --*targets_.unused_urls >= 0; }
  const char* Converse(cri::streaming::Client& client, const std::string& head,
                       const std::string& opening);
  void Leave(cri::streaming::Client& client);

  const RudeTargets targets_;
  std::mt19937 random_;
  std::map<std::string, int> left_;
  int upgraded_ = 0;

  // Of the session under way.
  Carrier carrier_ = Carrier::kSpdy;
  ::runtime::v1::ExecRequest exec_;
  Streams streams_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_INTEGRATION_DAEMON_STREAMING_RUDE_CLIENT_H_
