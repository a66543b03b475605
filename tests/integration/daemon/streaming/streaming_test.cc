// Exec, attach and port-forward of a real piniond, by clients that stay; and
// what becomes of them when the daemon goes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/invariant_processes.h"
#include "tests/unit/cri/streaming/client.h"
#include "tests/unit/cri/streaming/spdy_peer.h"
#include "tests/unit/cri/streaming/websocket_peer.h"

namespace pinion::testing {
namespace {

namespace cri_api = ::runtime::v1;
using cri::streaming::Client;
using cri::streaming::ReadServerFrames;
using cri::streaming::SpdyPeer;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::Eventually;

// A client who has asked for the URL.
struct Caller {
  explicit Caller(const std::string& url)
      : path(url.substr(url.find('/', 7))),
        client(static_cast<uint16_t>(
            std::stoi(url.substr(url.find(':', 7) + 1)))) {}

  // As client-go does: error 1, then `types`.
  void OpenStreams(const std::vector<std::string>& types) {
    uint32_t id = 1;
    client.Send(peer.SynStream(id, {{"streamtype", "error"}}));
    for (const std::string& type : types) {
      id += 2;
      client.Send(peer.SynStream(id, {{"streamtype", type}}));
    }
  }
  bool ReadUntil(const std::function<bool()>& done) {
    return client.Until(
        [this](std::string_view bytes) { EXPECT_TRUE(peer.Read(bytes).ok()); },
        done);
  }

  const std::string path;
  Client client;
  SpdyPeer peer;
};

class StreamingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = bed_.PodConfig("streaming");
    pod_ = bed_.RunPod(config_);
  }

  std::string Run(const std::string& name, const std::string& script,
                  bool tty = false) {
    auto config = bed_.ContainerConfig(name, {"sh", "-c", script});
    config.set_stdin(true);
    config.set_tty(tty);
    return bed_.RunContainer(pod_, config_, config);
  }

  std::unique_ptr<Caller> Attach(const std::string& id, bool input,
                                 bool tty = false) {
    cri_api::AttachRequest request;
    request.set_container_id(id);
    request.set_stdin(input);
    request.set_stdout(true);
    request.set_tty(tty);
    cri_api::AttachResponse response;
    const absl::Status status = bed_.client().Call(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return std::make_unique<Caller>(response.url());
  }

  // Under way: the command has said "up".
  std::unique_ptr<Caller> Exec(const std::string& id,
                               const std::string& script) {
    cri_api::ExecRequest request;
    request.set_container_id(id);
    for (const char* word : {"sh", "-c", script.c_str()}) {
      request.add_cmd(word);
    }
    request.set_stdin(true);
    request.set_stdout(true);
    cri_api::ExecResponse response;
    const absl::Status status = bed_.client().Call(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    auto caller = std::make_unique<Caller>(response.url());
    EXPECT_THAT(caller->client.AskSpdy(caller->path),
                StartsWith("HTTP/1.1 101 "));
    caller->OpenStreams({"stdin", "stdout"});
    EXPECT_TRUE(
        caller->ReadUntil([&] { return caller->peer.data[5] == "up\n"; }));
    return caller;
  }

  static size_t Processes(const std::string& command) {
    size_t count = 0;
    for (const auto& [pid, process] : testing_support::AllProcesses()) {
      if (testing_support::CommandLine(pid) == command) ++count;
    }
    return count;
  }

  DaemonBed bed_;
  cri_api::PodSandboxConfig config_;
  std::string pod_;
};

TEST_F(StreamingTest, AttachedClientsTalkToTheContainer) {
  const std::string id =
      Run("app", "while read x; do echo got-$x; done; echo over");
  const auto talker = Attach(id, /*input=*/true);
  ASSERT_THAT(talker->client.AskSpdy(talker->path),
              StartsWith("HTTP/1.1 101 "));
  talker->OpenStreams({"stdin", "stdout"});
  talker->client.Send(SpdyPeer::Data(3, "one\n"));
  ASSERT_TRUE(
      talker->ReadUntil([&] { return talker->peer.data[5] == "got-one\n"; }));
  // Another one listens, and hears what comes from now on.
  const auto listener = Attach(id, /*input=*/false);
  ASSERT_THAT(
      listener->client.AskWebSocket(listener->path, "v5.channel.k8s.io"),
      StartsWith("HTTP/1.1 101 "));
  std::string bytes, heard;
  std::vector<int> opcodes;
  const auto listen = [&](std::string_view more) {
    bytes += more;
    bytes.erase(0, ReadServerFrames(bytes, &heard, &opcodes));
  };
  // The empty message says that it is attached, or is about to be: so words
  // are said until one is heard.
  ASSERT_TRUE(listener->client.Until(listen, [&] {
    talker->client.Send(SpdyPeer::Data(3, "two\n"));
    return absl::StrContains(heard, "got-two\n");
  }));
  EXPECT_FALSE(absl::StrContains(heard, "got-one"));
  // Leaving does not end what is not theirs.
  talker->client.HangUp();
  listener->client.HangUp();
  EXPECT_EQ(bed_.Exec(id, {"echo", "alive"}).stdout(), "alive\n");
  EXPECT_EQ(bed_.Status(id).state(), cri_api::CONTAINER_RUNNING);
}

TEST_F(StreamingTest, AttachEndsWithTheContainerAndResizesItsTerminal) {
  const std::string id =
      Run("tty", "read x; stty size; read x; exit 3", /*tty=*/true);
  const auto caller = Attach(id, /*input=*/true, /*tty=*/true);
  ASSERT_THAT(caller->client.AskSpdy(caller->path),
              StartsWith("HTTP/1.1 101 "));
  caller->OpenStreams({"stdin", "stdout", "resize"});
  caller->client.Send(SpdyPeer::Data(7, "{\"Width\":91,\"Height\":17}"));
  caller->client.Send(SpdyPeer::Data(3, "\n"));
  ASSERT_TRUE(caller->ReadUntil([&] {
    return absl::StrContains(caller->peer.data[5], "17 91");
  })) << caller->peer.data[5];
  caller->client.Send(SpdyPeer::Data(3, "\n"));
  ASSERT_TRUE(caller->ReadUntil([&] { return caller->peer.finished[1]; }));
  // How the container ended is not the client's result.
  EXPECT_THAT(caller->peer.data[1], HasSubstr("Success"));
  EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 3);
}

TEST_F(StreamingTest, ADaemonThatStopsEndsItsExecs) {
  const std::string id = Run("app", "sleep 76543");
  const auto caller = Exec(
      id, "trap '' HUP TERM PIPE; echo up; sleep 76541 & sleep 76542; echo");
  ASSERT_TRUE(Eventually([] { return Processes("sleep 76542") == 1; }));
  EXPECT_EQ(bed_.Terminate(), 0);
  EXPECT_TRUE(Eventually(
      [] { return Processes("sleep 76541") + Processes("sleep 76542") == 0; }));
  EXPECT_TRUE(caller->client.UntilEnd());
  EXPECT_TRUE(Eventually([] { return Processes("sleep 76543") == 1; }));
  bed_.Start();
  EXPECT_EQ(bed_.Exec(id, {"echo", "alive"}).stdout(), "alive\n");
}

TEST_F(StreamingTest, AKilledDaemonsExecsEndWithIt) {
  const std::string id = Run("app", "sleep 76543");
  const auto caller = Exec(
      id, "trap '' HUP TERM PIPE; echo up; sleep 76541 & sleep 76542; echo");
  ASSERT_TRUE(Eventually([] { return Processes("sleep 76542") == 1; }));
  bed_.Kill();
  // By the pod's monitor: nobody waits for the next daemon.
  EXPECT_TRUE(Eventually(
      [] { return Processes("sleep 76541") + Processes("sleep 76542") == 0; }));
  EXPECT_TRUE(caller->client.UntilEnd());
  EXPECT_TRUE(Eventually([] { return Processes("sleep 76543") == 1; }));
  bed_.Start();
  EXPECT_EQ(bed_.Exec(id, {"echo", "alive"}).stdout(), "alive\n");
}

}  // namespace
}  // namespace pinion::testing
