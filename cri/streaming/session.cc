#include "cri/streaming/session.h"

#include <poll.h>

#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "cri/streaming/http_head.h"
#include "cri/streaming/port_forward.h"
#include "cri/streaming/remote_command.h"
#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/upgrade.h"
#include "cri/streaming/websocket_mux.h"
#include "cri/streaming/wire.h"

namespace pinion::cri::streaming {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kAnswerPatience{5};

// Waits for the socket. False: the deadline has passed or the server ends.
bool Wait(const Transport& transport, short events, int stop_fd,
          Wire::TimePoint deadline) {
  pollfd fds[2] = {{transport.fd(), events, 0}, {stop_fd, POLLIN, 0}};
  poll(fds, 2, PollTimeout(deadline));
  return fds[1].revents == 0 && steady_clock::now() < deadline;
}

bool SendAll(Transport& transport, const std::string& text, int stop_fd,
             Wire::TimePoint deadline) {
  for (size_t sent = 0; sent < text.size();) {
    size_t count = 0;
    switch (transport.Write(text.data() + sent, text.size() - sent, &count)) {
      case Transport::Result::kEnd:
        return false;
      case Transport::Result::kBlocked:
        if (!Wait(transport, transport.poll_write(), stop_fd, deadline)) {
          return false;
        }
        break;
      case Transport::Result::kMoved:
        sent += count;
        break;
    }
  }
  return true;
}

// Whatever came up to the end of the head, and after it; nullopt if the
// client was too slow, too long, or left. Sends what is to be said of it.
std::optional<std::string> ReadHead(Transport& transport, int stop_fd,
                                    Wire::TimePoint deadline) {
  std::string bytes;
  while (HeadLength(bytes) == 0) {
    if (bytes.size() > kMaxHeadBytes) {
      (void)SendAll(transport,
                    ErrorResponse("431 Request Header Fields Too Large",
                                  "too long a request"),
                    stop_fd, deadline);
      return std::nullopt;
    }
    char buffer[4096];
    size_t count = 0;
    switch (transport.Read(buffer, sizeof(buffer), &count)) {
      case Transport::Result::kEnd:
        return std::nullopt;
      case Transport::Result::kBlocked:
        if (!Wait(transport, transport.poll_read(), stop_fd, deadline)) {
          return std::nullopt;
        }
        break;
      case Transport::Result::kMoved:
        bytes.append(buffer, count);
        break;
    }
  }
  return bytes;
}

struct Accepted {
  Request request;
  Upgrade upgrade;
};

// Checks the request; on refusal only `upgrade.response` matters, and the
// place is a newcomer's still.
Accepted Decide(std::string_view head_bytes, Admission::Place* place,
                TokenStore& tokens) {
  Accepted accepted;
  const absl::StatusOr<HttpHead> head = ParseHead(head_bytes);
  if (!head.ok()) {
    accepted.upgrade.response =
        ErrorResponse("400 Bad Request", std::string(head.status().message()));
    return accepted;
  }
  if (ForeignOrigin(*head)) {
    accepted.upgrade.response =
        ErrorResponse("403 Forbidden", "another origin");
    return accepted;
  }
  // First, or a token would be spent on the refusal.
  if (!place->BecomeSession()) {
    accepted.upgrade.response = TooManyResponse();
    return accepted;
  }
  std::optional<Request> request = tokens.Take(head->path);
  if (!request.has_value()) {
    place->BecomeNewcomer();
    accepted.upgrade.response = ErrorResponse("404 Not Found", "not found");
    return accepted;
  }
  accepted.request = *std::move(request);
  accepted.upgrade = NegotiateUpgrade(*head, accepted.request.kind);
  if (accepted.upgrade.accepted &&
      accepted.upgrade.carrier == Carrier::kWebSocketChannels &&
      accepted.request.kind == Kind::kPortForward &&
      accepted.request.ports.empty()) {
    accepted.upgrade = Upgrade();
    accepted.upgrade.response =
        ErrorResponse("400 Bad Request", "the PortForward call named no port");
  }
  return accepted;
}

std::unique_ptr<StreamMux> NewMux(const Upgrade& upgrade) {
  switch (upgrade.carrier) {
    case Carrier::kWebSocketChannels:
      return NewWebSocketChannels(/*close_signal=*/upgrade.version >= 5);
    case Carrier::kSpdyOverWebSocket:
      return NewWebSocketTunnel(NewSpdyConnection());
    case Carrier::kSpdy:
      break;
  }
  return NewSpdyConnection();
}

// Says no and lets the client read it: closing a socket with unread input
// would take the answer back.
void Refuse(Transport& transport, const std::string& response, int stop_fd) {
  const Wire::TimePoint deadline = steady_clock::now() + kAnswerPatience;
  if (!SendAll(transport, response, stop_fd, deadline)) return;
  transport.ShutdownWrite();
  char buffer[4096];
  for (;;) {
    size_t count = 0;
    const Transport::Result result =
        transport.Read(buffer, sizeof(buffer), &count);
    if (result == Transport::Result::kEnd) return;
    if (result == Transport::Result::kBlocked &&
        !Wait(transport, transport.poll_read(), stop_fd, deadline)) {
      return;
    }
    if (steady_clock::now() >= deadline) return;
  }
}

}  // namespace

SessionMetrics::SessionMetrics(metrics::Registry& registry) {
  for (const Kind kind : {Kind::kExec, Kind::kAttach, Kind::kPortForward}) {
    const metrics::Labels labels = {{"kind", KindName(kind)}};
    open_[static_cast<int>(kind)] =
        &registry.AddGauge("pinion_streaming_sessions",
                           "Streaming sessions that are open.", labels);
    begun_[static_cast<int>(kind)] =
        &registry.AddCounter("pinion_streaming_sessions_total",
                             "Streaming sessions that were begun.", labels);
  }
}

void ServeConnection(std::unique_ptr<Transport> transport, int stop_fd,
                     const Options& options, Admission::Place* place,
                     TokenStore& tokens, Backend& backend,
                     SessionMetrics& metrics) {
  const Wire::TimePoint deadline = steady_clock::now() + options.head_timeout;
  const std::optional<std::string> bytes =
      ReadHead(*transport, stop_fd, deadline);
  if (!bytes.has_value()) return;
  const size_t length = HeadLength(*bytes);
  const Accepted accepted =
      Decide(std::string_view(*bytes).substr(0, length), place, tokens);
  const std::string_view early = std::string_view(*bytes).substr(length);
  if (!accepted.upgrade.accepted) {
    return Refuse(*transport, accepted.upgrade.response, stop_fd);
  }
  if (!SendAll(*transport, accepted.upgrade.response, stop_fd, deadline)) {
    return;
  }
  const Kind kind = accepted.request.kind;
  metrics.begun(kind).Increment();
  metrics.open(kind).Add(1);
  Wire wire(std::move(transport), NewMux(accepted.upgrade), stop_fd,
            options.idle_timeout);
  if (kind == Kind::kPortForward) {
    ServePortForward(wire, early, accepted.request, accepted.upgrade, backend,
                     options.creation_timeout);
  } else {
    ServeRemoteCommand(wire, early, accepted.request, accepted.upgrade, backend,
                       options.creation_timeout);
  }
  metrics.open(kind).Add(-1);
}

}  // namespace pinion::cri::streaming
