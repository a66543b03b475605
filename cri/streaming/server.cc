#include "cri/streaming/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/streaming/admission.h"
#include "cri/streaming/session.h"
#include "cri/streaming/token_store.h"
#include "cri/streaming/transport.h"
#include "cri/streaming/upgrade.h"
#include "metrics/socket_address.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::cri::streaming {
namespace {

constexpr int kBacklog = 128;
constexpr int kPauseMs = 200;

struct Listener {
  os::UniqueFd fd;
  sockaddr_storage bound = {};
};

absl::StatusOr<Listener> Listen(const std::string& address) {
  PINION_ASSIGN_OR_RETURN(const metrics::SocketAddress wanted,
                          metrics::ParseSocketAddress(address));
  Listener listener;
  listener.fd.Reset(socket(wanted.storage.ss_family,
                           SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.fd.valid()) return os::ErrnoStatus("socket");
  const int on = 1;
  setsockopt(listener.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener.fd.get(),
           reinterpret_cast<const sockaddr*>(&wanted.storage),
           wanted.size) != 0 ||
      listen(listener.fd.get(), kBacklog) != 0) {
    return os::ErrnoStatus(absl::StrCat("listen on ", address));
  }
  socklen_t size = sizeof(listener.bound);
  if (getsockname(listener.fd.get(),
                  reinterpret_cast<sockaddr*>(&listener.bound), &size) != 0) {
    return os::ErrnoStatus(absl::StrCat("getsockname of ", address));
  }
  return listener;
}

uint16_t PortOf(const sockaddr_storage& bound) {
  // Both families have the port at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

// What the listener's own node reaches it by: who listens on every address
// is reached by loopback.
std::string HostPort(const std::string& address, uint16_t port) {
  const std::string host = address.substr(0, address.rfind(':'));
  if (host == "0.0.0.0") return absl::StrCat("127.0.0.1:", port);
  if (host == "[::]") return absl::StrCat("[::1]:", port);
  return absl::StrCat(host, ":", port);
}

void SetUpSocket(int fd) {
  const int on = 1;
  // Key strokes must not wait for each other; a client's machine that
  // vanished without a word must be noticed.
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  const int idle_seconds = 30;
  const int interval_seconds = 10;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof(int));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof(int));
}

class ServerImpl final : public Server {
 public:
  ServerImpl(const Options& options, const Dependencies& dependencies,
             Listener listener, os::UniqueFd stop,
             std::unique_ptr<TlsServer> tls)
      : options_(options),
        backend_(*dependencies.backend),
        listener_(std::move(listener.fd)),
        port_(PortOf(listener.bound)),
        base_(absl::StrCat(tls == nullptr ? "http://" : "https://",
                           HostPort(options.address, port_))),
        stop_(std::move(stop)),
        tls_(std::move(tls)),
        tokens_(*dependencies.clock),
        metrics_(*dependencies.metrics),
        admission_(options.max_newcomers, options.max_sessions),
        acceptor_([this] { AcceptLoop(); }) {}

  ~ServerImpl() override { (void)StopWithin(absl::InfiniteDuration()); }

  bool Stop(std::chrono::nanoseconds timeout) override {
    return StopWithin(absl::FromChrono(timeout));
  }

  absl::StatusOr<std::string> Url(Request request) override {
    PINION_ASSIGN_OR_RETURN(const std::string path,
                            tokens_.Add(std::move(request)));
    return absl::StrCat(base_, path);
  }

  uint16_t port() const override { return port_; }

 private:
  bool StopWithin(absl::Duration timeout) {
    const uint64_t one = 1;
    // An eventfd takes it always (eventfd(2)).
    (void)!write(stop_.get(), &one, sizeof(one));
    if (acceptor_.joinable()) acceptor_.join();
    return admission_.AwaitNone(timeout);
  }
  void AcceptLoop();
  void Begin(os::UniqueFd socket);
  void Serve(std::unique_ptr<Transport> transport, Admission::Place* place);
  void Refuse(const os::UniqueFd& socket) const;

  const Options options_;
  Backend& backend_;
  const os::UniqueFd listener_;
  const uint16_t port_;
  const std::string base_;
  const os::UniqueFd stop_;
  const std::unique_ptr<TlsServer> tls_;
  TokenStore tokens_;
  SessionMetrics metrics_;
  Admission admission_;
  std::thread acceptor_;
};

void ServerImpl::AcceptLoop() {
  for (;;) {
    pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    os::UniqueFd socket(accept4(listener_.get(), nullptr, nullptr,
                                SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.valid()) {
      Begin(std::move(socket));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
               errno == ENOBUFS) {
      // The connection stays queued; poll would tell of it without end.
      poll(&fds[1], 1, kPauseMs);
    }
  }
}

void ServerImpl::Begin(os::UniqueFd socket) {
  std::optional<Admission::Place> place = admission_.Arrive();
  if (!place.has_value()) return Refuse(socket);
  SetUpSocket(socket.get());
  const int raw = socket.Release();
  try {
    // The place is left last: then nothing here is used any more.
    std::thread([this, raw, own = *std::move(place)]() mutable {
      os::UniqueFd fd(raw);
      std::unique_ptr<Transport> transport =
          tls_ == nullptr ? NewPlainTransport(std::move(fd))
                          : tls_->Wrap(std::move(fd));
      if (transport != nullptr) Serve(std::move(transport), &own);
    }).detach();
  } catch (const std::system_error& error) {
    // pthread_create(3): EAGAIN.
    Log(LogLevel::kWarning, "no thread for a streaming session",
        {{"error", error.what()}});
    socket.Reset(raw);
    Refuse(socket);
  }
}

void ServerImpl::Serve(std::unique_ptr<Transport> transport,
                       Admission::Place* place) {
  try {
    ServeConnection(std::move(transport), stop_.get(), options_, place, tokens_,
                    backend_, metrics_);
  } catch (const std::exception& error) {
    // std::bad_alloc: one session must not take the daemon with it.
    Log(LogLevel::kError, "streaming session failed",
        {{"error", error.what()}});
  }
}

void ServerImpl::Refuse(const os::UniqueFd& socket) const {
  if (tls_ != nullptr) return;  // No plain word before the handshake.
  const std::string response = TooManyResponse();
  (void)send(socket.get(), response.data(), response.size(),
             MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(socket.get(), SHUT_WR);
  // What has come is read, or closing would reset the connection before the
  // client has read the answer. A request's head is not longer than this.
  char buffer[4096];
  for (int i = 0; i < 8; ++i) {
    if (recv(socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT) <= 0) return;
  }
}

// Null without TLS.
absl::StatusOr<std::unique_ptr<TlsServer>> MakeTls(const Options& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError(
        "TLS needs both a certificate and its key");
  }
  if (options.tls_certificate.empty()) return nullptr;
  return TlsServer::Create(options.tls_certificate, options.tls_key);
}

}  // namespace

absl::Status CheckOptions(const Options& options) {
  return MakeTls(options).status();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const Options& options, const Dependencies& dependencies) {
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<TlsServer> tls, MakeTls(options));
  PINION_ASSIGN_OR_RETURN(Listener listener, Listen(options.address));
  os::UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return os::ErrnoStatus("eventfd");
  return std::make_unique<ServerImpl>(options, dependencies,
                                      std::move(listener), std::move(stop),
                                      std::move(tls));
}

}  // namespace pinion::cri::streaming
