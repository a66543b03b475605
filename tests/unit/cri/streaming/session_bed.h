// A streaming server of the test's own, over real processes and connections.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_SESSION_BED_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_SESSION_BED_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cri/streaming/server.h"
#include "tests/unit/cri/streaming/client.h"
#include "tests/unit/cri/streaming/process_backend.h"
#include "tests/unit/cri/streaming/spdy_peer.h"

namespace pinion::cri::streaming {

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    SetLogLevel(LogLevel::kError);
    options_.creation_timeout = std::chrono::seconds(10);
  }

  void Start() {
    Dependencies dependencies;
    dependencies.backend = &backend_;
    dependencies.metrics = metrics_.get();
    auto server = Server::Start(options_, dependencies);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // The path of a URL for it.
  std::string Path(Request request) {
    if (server_ == nullptr) Start();
    if (request.id.empty()) request.id = "container";
    const auto url = server_->Url(std::move(request));
    EXPECT_TRUE(url.ok()) << url.status();
    const std::string base =
        "http://127.0.0.1:" + std::to_string(server_->port());
    EXPECT_THAT(*url, testing::StartsWith(base + "/"));
    return url->substr(base.size());
  }

  std::string ExecPath(const std::string& script, bool input = true,
                       bool terminal = false) {
    Request request;
    request.command = {"sh", "-c", script};
    request.streams = {input, true, !terminal, terminal};
    return Path(request);
  }

  Client Connect() { return Client(server_->port()); }

  // Opens the streams as client-go does: error 1, then those of `types`.
  void OpenStreams(Client& client, const std::vector<std::string>& types) {
    uint32_t id = 1;
    client.Send(peer_.SynStream(id, {{"streamtype", "error"}}));
    for (const std::string& type : types) {
      id += 2;
      client.Send(peer_.SynStream(id, {{"streamtype", type}}));
    }
  }

  bool ReadUntil(Client& client, const std::function<bool()>& done) {
    return client.Until(
        [this](std::string_view bytes) { EXPECT_TRUE(peer_.Read(bytes).ok()); },
        done);
  }

  Options options_;
  ProcessBackend backend_;
  std::unique_ptr<metrics::Registry> metrics_ = metrics::Registry::Create();
  std::unique_ptr<Server> server_;
  SpdyPeer peer_;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_SESSION_BED_H_
