#include "cri/streaming/port_forward.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::cri::streaming {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kGoodbye{10};

struct Forwarded {
  std::string request;
  uint16_t port = 0;
  Wire::TimePoint deadline;  // for the pair to be whole
  std::optional<StreamId> data;
  std::optional<StreamId> error;

  std::optional<runtime::PortConnection> connecting;
  os::UniqueFd socket;
  std::string to_pod;
  bool client_finished = false;
  bool client_end_passed = false;
  bool pod_finished = false;
  bool over = false;

  bool Pending() const {
    return !connecting.has_value() && !socket.valid() && !over;
  }
  bool Paired() const { return data.has_value() && error.has_value(); }
};

class Session final : private PeerEvents {
 public:
  Session(Wire& wire, const Request& request, const Upgrade& upgrade,
          Backend& backend, std::chrono::nanoseconds creation_timeout)
      : wire_(wire),
        mux_(wire.mux()),
        request_(request),
        fixed_(upgrade.carrier == Carrier::kWebSocketChannels),
        backend_(backend),
        creation_timeout_(creation_timeout) {}

  void Run(std::string_view early);

 private:
  bool OnOpen(StreamId id, const StreamHeaders& headers) override;
  void OnData(StreamId id, std::string_view bytes) override;
  void OnFinish(StreamId id) override;
  void OnReset(StreamId id) override;

  void OpenChannels();
  // Everything that can be done without waiting.
  void Step();
  void Connect(Forwarded* one);
  void GoOnConnecting(Forwarded* one);
  void Refuse(Forwarded* one, const absl::Status& why);
  void Fail(Forwarded* one, const std::string& why);
  void WriteToPod(Forwarded* one);
  void ReadFromPod(Forwarded* one);
  void End(Forwarded* one);

  bool MayRead(const Forwarded& one) const;
  size_t Pending() const;
  std::vector<pollfd> Waits(std::optional<Wire::TimePoint>* deadline) const;
  Forwarded* FindByData(StreamId id);

  Wire& wire_;
  StreamMux& mux_;
  const Request& request_;
  const bool fixed_;  // the ports are known, no pair is opened or reset
  Backend& backend_;
  const std::chrono::nanoseconds creation_timeout_;
  std::list<Forwarded> all_;
};

// A decimal port of the headers; 0 if it is none.
uint16_t ParsePort(const StreamHeaders& headers) {
  const auto found = headers.find("port");
  uint32_t port = 0;
  if (found == headers.end() || !absl::SimpleAtoi(found->second, &port) ||
      port > UINT16_MAX) {
    return 0;
  }
  return static_cast<uint16_t>(port);
}

// Old clients give no id: then an error stream is followed by its data
// stream, whose id is two higher.
std::string RequestOf(StreamId id, bool is_data, const StreamHeaders& headers) {
  const auto found = headers.find("requestid");
  if (found != headers.end()) return found->second;
  return absl::StrCat("stream ", is_data ? id - 2 : id);
}

bool Session::OnOpen(StreamId id, const StreamHeaders& headers) {
  const auto type = headers.find("streamtype");
  const uint16_t port = ParsePort(headers);
  if (type == headers.end() || port == 0) return false;
  const bool is_data = type->second == "data";
  if (!is_data && type->second != "error") return false;
  const std::string request = RequestOf(id, is_data, headers);
  auto found = std::find_if(all_.begin(), all_.end(), [&](const Forwarded& f) {
    return f.request == request && f.Pending();
  });
  if (found == all_.end()) {
    if (all_.size() >= kMaxForwarded) return false;
    found = all_.emplace(all_.end());
    found->request = request;
    found->port = port;
    found->deadline = steady_clock::now() + creation_timeout_;
  }
  std::optional<StreamId>& slot = is_data ? found->data : found->error;
  if (slot.has_value() || found->port != port) return false;
  slot = id;
  return true;
}

Forwarded* Session::FindByData(StreamId id) {
  for (Forwarded& one : all_) {
    if (one.data == id) return &one;
  }
  return nullptr;
}

void Session::OnData(StreamId id, std::string_view bytes) {
  Forwarded* one = FindByData(id);
  if (one == nullptr || one->over || one->client_finished) {
    mux_.Consumed(id, bytes.size());
    return;
  }
  one->to_pod += bytes;
}

void Session::OnFinish(StreamId id) {
  Forwarded* one = FindByData(id);
  if (one != nullptr) one->client_finished = true;
}

void Session::OnReset(StreamId id) {
  for (Forwarded& one : all_) {
    if (one.data == id) {
      one.data.reset();
      End(&one);
    } else if (one.error == id) {
      one.error.reset();
    }
  }
}

void Session::OpenChannels() {
  StreamId channel = 0;
  for (const uint16_t port : request_.ports) {
    Forwarded& one = all_.emplace_back();
    one.port = port;
    one.data = channel++;
    one.error = channel++;
    // Both begin with the port, low byte first.
    const char bytes[2] = {static_cast<char>(port & 0xff),
                           static_cast<char>(port >> 8)};
    mux_.Send(*one.data, std::string_view(bytes, 2));
    mux_.Send(*one.error, std::string_view(bytes, 2));
  }
}

void Session::Connect(Forwarded* one) {
  absl::StatusOr<runtime::PortConnection> connection =
      backend_.ConnectPort(request_.id, one->port);
  if (!connection.ok()) return Refuse(one, connection.status());
  one->connecting = *std::move(connection);
}

void Session::GoOnConnecting(Forwarded* one) {
  auto socket = one->connecting->Step();
  if (!socket.has_value()) return;
  one->connecting.reset();
  if (!socket->ok()) return Refuse(one, socket->status());
  one->socket = **std::move(socket);
}

void Session::Refuse(Forwarded* one, const absl::Status& why) {
  const std::string message(why.message());
  Log(LogLevel::kInfo, "port not forwarded",
      {{"pod", request_.id}, {"port", one->port}, {"error", message}});
  Fail(one, message);
}

void Session::Fail(Forwarded* one, const std::string& why) {
  if (one->error.has_value()) {
    mux_.Send(*one->error,
              absl::StrCat("cannot forward port ", one->port, ": ", why));
  }
  End(one);
}

// Tells the client, who is waiting for the end of both.
void Session::End(Forwarded* one) {
  if (one->over) return;
  one->over = true;
  one->connecting.reset();
  one->socket.Reset();
  one->to_pod.clear();
  if (one->error.has_value()) mux_.Finish(*one->error);
  if (one->data.has_value()) mux_.Finish(*one->data);
}

void Session::WriteToPod(Forwarded* one) {
  while (!one->to_pod.empty()) {
    const ssize_t count = send(one->socket.get(), one->to_pod.data(),
                               one->to_pod.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) return End(one);
    one->to_pod.erase(0, static_cast<size_t>(count));
    if (one->data.has_value()) {
      mux_.Consumed(*one->data, static_cast<size_t>(count));
    }
  }
  if (one->client_finished && !one->client_end_passed) {
    one->client_end_passed = true;
    shutdown(one->socket.get(), SHUT_WR);
  }
}

bool Session::MayRead(const Forwarded& one) const {
  return one.socket.valid() && !one.pod_finished && wire_.HasRoom() &&
         one.data.has_value() && mux_.SendWindow(*one.data) > 0;
}

void Session::ReadFromPod(Forwarded* one) {
  char buffer[kReadSize];
  const size_t most = std::min(sizeof(buffer), mux_.SendWindow(*one->data));
  const ssize_t count = recv(one->socket.get(), buffer, most, 0);
  if (count > 0) {
    mux_.Send(*one->data, std::string_view(buffer, static_cast<size_t>(count)));
    return;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count < 0) return Fail(one, os::ErrnoName(errno));
  one->pod_finished = true;
  // A client that still has something to say resets, or goes on.
  mux_.Finish(*one->data);
  if (one->error.has_value()) mux_.Finish(*one->error);
  // On fixed channels a client has no way to say that it has finished.
  if (fixed_) End(one);
}

void Session::Step() {
  const Wire::TimePoint now = steady_clock::now();
  bool connected = false;
  for (Forwarded& one : all_) {
    if (one.Pending()) {
      if (one.Paired()) {
        // One a turn: while the monitor is stopped it takes seconds, in which
        // nothing else moves.
        if (!connected) Connect(&one);
        connected = true;
      } else if (now >= one.deadline) {
        Fail(&one, "the other stream of the pair did not come");
      }
    }
    if (one.connecting.has_value()) GoOnConnecting(&one);
    if (one.socket.valid()) WriteToPod(&one);
    if (MayRead(one)) ReadFromPod(&one);
    if (one.pod_finished && one.client_end_passed) End(&one);
  }
  all_.remove_if([](const Forwarded& one) { return one.over; });
}

size_t Session::Pending() const {
  size_t sum = 0;
  for (const Forwarded& one : all_) sum += one.to_pod.size();
  return sum;
}

std::vector<pollfd> Session::Waits(
    std::optional<Wire::TimePoint>* deadline) const {
  std::vector<pollfd> fds;
  const auto wake = [deadline](Wire::TimePoint due) {
    if (!deadline->has_value() || due < **deadline) *deadline = due;
  };
  for (const Forwarded& one : all_) {
    if (one.connecting.has_value()) {
      wake(one.connecting->deadline());
      fds.push_back({one.connecting->fd(), POLLOUT, 0});
      continue;
    }
    if (!one.socket.valid()) {
      wake(one.Paired() ? steady_clock::now() : one.deadline);
      continue;
    }
    short events = MayRead(one) ? POLLIN : 0;
    if (!one.to_pod.empty()) events |= POLLOUT;
    // Not even for its end while nothing can be passed on.
    if (events != 0) fds.push_back({one.socket.get(), events, 0});
  }
  return fds;
}

void Session::Run(std::string_view early) {
  if (fixed_) OpenChannels();
  Wire::State state = wire_.Begin(early, *this);
  while (state == Wire::State::kOpen) {
    Step();
    if (fixed_ && all_.empty()) return wire_.Finish(kGoodbye);
    std::optional<Wire::TimePoint> deadline;
    std::vector<pollfd> fds = Waits(&deadline);
    state = wire_.Turn(&fds, Pending() < kMaxPendingForward, deadline, *this);
  }
}

}  // namespace

void ServePortForward(Wire& wire, std::string_view early,
                      const Request& request, const Upgrade& upgrade,
                      Backend& backend,
                      std::chrono::nanoseconds creation_timeout) {
  Session(wire, request, upgrade, backend, creation_timeout).Run(early);
}

}  // namespace pinion::cri::streaming
