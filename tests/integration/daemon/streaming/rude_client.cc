#include "tests/integration/daemon/streaming/rude_client.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "tests/unit/cri/streaming/spdy_peer.h"
#include "tests/unit/cri/streaming/websocket_peer.h"

namespace pinion::testing {
namespace {

namespace cri_api = ::runtime::v1;
using cri::streaming::Client;
using cri::streaming::ClientFrame;
using cri::streaming::SpdyPeer;

constexpr std::chrono::seconds kPatience{30};

// What is executed: ends at once, never, or does not start; says nothing,
// something, or much; reads, or does not; has children; ignores signals. None
// ends before its children: those it would leave behind on purpose.
const std::vector<std::vector<std::string>>& Commands() {
  static const std::vector<std::vector<std::string>> commands = {
      {"cat"},
      {"yes"},
      {"true"},
      {"/nope"},
      {"sleep", "100000"},
      {"sh", "-c", "echo one; sleep 100000 & sleep 100000"},
      {"sh", "-c", "trap '' HUP INT TERM PIPE; while :; do echo x; done"},
      {"sh", "-c", "yes >&2 & echo two; sleep 100000"},
      {"sh", "-c", "(sleep 100000 >/dev/null 2>&1 </dev/null &) ; yes"},
  };
  return commands;
}

uint16_t PortOf(const std::string& url) {
  const size_t colon = url.find(':', 7);
  return static_cast<uint16_t>(std::stoi(url.substr(colon + 1)));
}

std::string PathOf(const std::string& url) {
  return url.substr(url.find('/', 7));
}

}  // namespace

// Something to type: no ^C, which a terminal would take for itself.
std::string RudeClient::Text(size_t size) {
  std::string text;
  while (text.size() < size) text.push_back(static_cast<char>(32 + Below(95)));
  return text;
}

std::string RudeClient::ExecUrl() {
  exec_.Clear();
  exec_.set_container_id(targets_.container);
  const auto& command =
      Commands()[Below(static_cast<uint32_t>(Commands().size()))];
  for (const std::string& word : command) exec_.add_cmd(word);
  exec_.set_tty(Below(3) == 0);
  exec_.set_stdin(Below(3) != 0);
  exec_.set_stdout(Below(8) != 0);
  exec_.set_stderr(!exec_.tty() && Below(4) != 0);
  if (!exec_.stdin() && !exec_.stderr()) exec_.set_stdout(true);
  cri_api::ExecResponse response;
  const absl::Status status = targets_.client->Call(exec_, &response);
  EXPECT_TRUE(status.ok()) << status;
  return response.url();
}

std::string RudeClient::Url(Kind kind) {
  if (kind == Kind::kExec) return ExecUrl();
  if (kind == Kind::kAttach) {
    cri_api::AttachRequest request;
    request.set_container_id(targets_.talker);
    request.set_stdin(Below(2) == 0);
    request.set_stdout(true);
    request.set_stderr(Below(2) == 0);
    // The streams to open are the same ones.
    exec_.Clear();
    exec_.set_stdin(request.stdin());
    exec_.set_stdout(true);
    exec_.set_stderr(request.stderr());
    cri_api::AttachResponse response;
    const absl::Status status = targets_.client->Call(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response.url();
  }
  cri_api::PortForwardRequest request;
  request.set_pod_sandbox_id(targets_.pod);
  // Now and then one on which nobody listens.
  request.add_port(targets_.port + (Below(8) == 0 ? 1 : 0));
  cri_api::PortForwardResponse response;
  const absl::Status status = targets_.client->Call(request, &response);
  EXPECT_TRUE(status.ok()) << status;
  return response.url();
}

std::string RudeClient::Head(const std::string& path, Kind kind) {
  const bool ports = kind == Kind::kPortForward;
  carrier_ = Below(2) == 0            ? Carrier::kSpdy
             : ports && Below(2) == 0 ? Carrier::kTunnel
                                      : Carrier::kWebSocket;
  std::string head = (carrier_ == Carrier::kSpdy ? "POST " : "GET ") + path +
                     " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n";
  if (carrier_ == Carrier::kSpdy) {
    const char* protocol = ports           ? "portforward.k8s.io"
                           : Below(8) == 0 ? "v2.channel.k8s.io"
                                           : "v4.channel.k8s.io";
    return head +
           "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: " + protocol +
           "\r\n\r\n";
  }
  const char* protocol = carrier_ == Carrier::kTunnel
                             ? "SPDY/3.1+portforward.k8s.io"
                         : ports || Below(3) == 0 ? "v4.channel.k8s.io"
                                                  : "v5.channel.k8s.io";
  return head +
         "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Protocol: " +
         protocol + "\r\n\r\n";
}

std::string RudeClient::Wrap(const std::string& bytes) const {
  return carrier_ == Carrier::kTunnel ? ClientFrame(2, bytes) : bytes;
}

std::string RudeClient::Input(uint32_t stream, const std::string& bytes) {
  if (carrier_ == Carrier::kWebSocket) {
    return ClientFrame(2, static_cast<char>(stream) + bytes);
  }
  return Wrap(SpdyPeer::Data(stream, bytes));
}

std::string RudeClient::SpdyOpening(Kind kind) {
  SpdyPeer peer;
  std::string frames;
  uint32_t id = 1;
  const auto open = [&](const std::string& type,
                        cri::streaming::StreamHeaders headers) {
    headers["streamtype"] = type;
    frames += peer.SynStream(id, headers);
    streams_[type] = id;
    id += 2;
  };
  if (kind == Kind::kPortForward) {
    const std::string port = std::to_string(targets_.port);
    open("error", {{"port", port}, {"requestid", "0"}});
    open("data", {{"port", port}, {"requestid", "0"}});
    return Wrap(frames);
  }
  open("error", {});
  if (exec_.stdin()) open("stdin", {});
  if (exec_.stdout()) open("stdout", {});
  if (exec_.stderr()) open("stderr", {});
  if (exec_.tty()) open("resize", {});
  return frames;
}

std::string RudeClient::Opening(Kind kind) {
  streams_.clear();
  std::string frames;
  if (carrier_ == Carrier::kWebSocket) {
    streams_ = kind == Kind::kPortForward
                   ? Streams{{"data", 0}, {"error", 1}}
                   : Streams{{"stdin", 0}, {"resize", 4}};
  } else {
    frames = SpdyOpening(kind);
  }
  if (kind == Kind::kPortForward) {
    return frames + Input(streams_["data"], "GET / HTTP/1.0\r\n\r\n");
  }
  if (exec_.tty()) {
    frames += Input(streams_["resize"], "{\"Width\":80,\"Height\":24}");
  }
  if (exec_.stdin()) frames += Input(streams_["stdin"], Text(Below(3000)));
  return frames;
}

// Returns where it broke off.
const char* RudeClient::Converse(Client& client, const std::string& head,
                                 const std::string& opening) {
  const auto part = [this](const std::string& bytes) {
    return bytes.substr(0, Below(static_cast<uint32_t>(bytes.size() + 1)));
  };
  const uint32_t where = Below(16);
  if (where == 0 && LeavesUrl()) return "connected";
  if (where == 1 && LeavesUrl()) {
    client.Send(part(head));
    return "in the request's head";
  }
  if (where <= 2) {
    client.Send(head);
    return "during the upgrade";
  }
  if (where == 3) {
    client.Send(head + part(opening));
    return "during the upgrade, frames on their way";
  }
  client.Send(head);
  upgraded_ += client.Receive(kPatience).rfind("HTTP/1.1 101 ", 0) == 0;
  if (where == 4) return "upgraded";
  if (where <= 6) {
    client.Send(part(opening));
    return "in mid-frame";
  }
  client.Send(opening);
  if (where == 7) {
    std::string nonsense(100 + Below(3000), '\0');
    for (char& byte : nonsense) byte = static_cast<char>(Below(256));
    client.Send(nonsense);
    return "after nonsense";
  }
  if (where == 8) return "all said, nothing heard";
  if (where <= 10) {
    const auto stream =
        streams_.find(streams_.count("data") ? "data" : "stdin");
    if (stream != streams_.end()) {
      const std::string more = Input(stream->second, Text(3000));
      for (int i = 0; i < 100; ++i) client.SendWithoutWaiting(more);
    }
    return "in mid-input";
  }
  if (where <= 13) {
    size_t wanted = Below(100000);
    // A process that has nothing (more) to say is left soon.
    for (size_t got = 0; got < wanted;) {
      const std::string bytes = client.Receive(std::chrono::milliseconds(20));
      if (bytes.empty()) break;
      got += bytes.size();
    }
    return "in mid-output";
  }
  if (where == 14) {
    client.FinishSending();
    (void)client.UntilEnd();
    return "input shut, until the server left";
  }
  // Which may have come with the upgrade's.
  (void)client.Receive(std::chrono::milliseconds(200));
  return "at the first answer";
}

void RudeClient::Leave(Client& client) {
  const uint32_t how = Below(16);
  if (how == 0) {
    // A process that dies with it.
    const pid_t child = fork();
    if (child == 0) {
      for (;;) pause();
    }
    client.HangUp();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  } else if (how <= 7) {
    client.Reset();
  } else {
    client.HangUp();
  }
}

void RudeClient::Run(Kind kind) {
  const std::string url = Url(kind);
  if (url.empty()) return;
  if (Below(20) == 0 && LeavesUrl()) {
    ++left_["never connected"];
    return;
  }
  const std::string head = Head(PathOf(url), kind);
  const std::string opening = Opening(kind);
  Client client(PortOf(url));
  ++left_[Converse(client, head, opening)];
  Leave(client);
}

}  // namespace pinion::testing
