#include "metrics/http_endpoint.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "metrics/socket_address.h"
#include "os/error.h"
#include "os/reactor.h"
#include "os/unique_fd.h"

namespace pinion::metrics {
namespace {

constexpr std::chrono::milliseconds kPause{200};

std::string Respond(absl::string_view status, absl::string_view content_type,
                    const std::string& body, bool with_body = true) {
  return absl::StrCat("HTTP/1.1 ", status,
                      "\r\nConnection: close\r\nContent-Type: ", content_type,
                      "\r\nContent-Length: ", body.size(), "\r\n\r\n",
                      with_body ? body : std::string());
}

std::string RespondError(absl::string_view status) {
  return Respond(status, "text/plain; charset=utf-8",
                 absl::StrCat(status, "\n"));
}

struct Connection {
  os::UniqueFd fd;
  std::string request;
  std::string response;  // not empty: being sent
  size_t sent = 0;
  os::Reactor::TimerId deadline = 0;
};

class Endpoint final : public HttpEndpoint {
 public:
  Endpoint(os::UniqueFd listener, uint16_t port, Registry& registry,
           std::unique_ptr<os::Reactor> reactor)
      : listener_(std::move(listener)),
        port_(port),
        registry_(registry),
        reactor_(reactor.get()),
        owned_reactor_(std::move(reactor)) {}

  absl::Status Listen() {
    return reactor_->Add(listener_.get(), EPOLLIN,
                         [this](uint32_t) { Accept(); });
  }

  uint16_t port() const override { return port_; }

 private:
  // All of these run on the reactor's thread.
  void Accept();
  void OnReady(int fd);
  // False: the connection is over.
  bool Receive(Connection* connection);
  bool Send(Connection* connection);
  void Close(int fd);

  const os::UniqueFd listener_;
  const uint16_t port_;
  Registry& registry_;
  std::map<int, Connection> connections_;
  // Callbacks use this pointer: it stays valid until the thread has ended.
  os::Reactor* const reactor_;
  // Last, so that the thread ends before what its callbacks use goes away.
  std::unique_ptr<os::Reactor> owned_reactor_;
};

void Endpoint::Accept() {
  os::UniqueFd fd(
      accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) {
    // Whoever hung up before we looked does not matter. With a full
    // descriptor table the connection stays queued and epoll would tell of it
    // without end, so look away for a while.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
      reactor_->Remove(listener_.get());
      reactor_->After(kPause, [this] { (void)Listen(); });
    }
    return;
  }
  if (connections_.size() >= kMaxConnections) return;
  const int raw = fd.get();
  if (!reactor_->Add(raw, EPOLLIN, [this, raw](uint32_t) { OnReady(raw); })
           .ok()) {
    return;
  }
  Connection& connection = connections_[raw];
  connection.fd = std::move(fd);
  connection.deadline = reactor_->After(kDeadline, [this, raw] { Close(raw); });
}

void Endpoint::OnReady(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  const bool was_sending = !connection.response.empty();
  if (!was_sending && !Receive(&connection)) return Close(fd);
  if (connection.response.empty()) return;
  if (!Send(&connection)) return Close(fd);
  if (was_sending) return;
  // The rest goes out when there is room.
  reactor_->Remove(fd);
  if (!reactor_->Add(fd, EPOLLOUT, [this, fd](uint32_t) { OnReady(fd); })
           .ok()) {
    Close(fd);
  }
}

bool Endpoint::Receive(Connection* connection) {
  char buffer[2048];
  const ssize_t n = recv(connection->fd.get(), buffer, sizeof(buffer), 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  connection->request.append(buffer, static_cast<size_t>(n));
  const size_t end = connection->request.find("\r\n\r\n");
  if (end != std::string::npos) {
    connection->request.resize(end + 4);
    connection->response = AnswerHttp(connection->request, registry_);
  } else if (connection->request.size() > kMaxRequestBytes) {
    connection->response = RespondError("431 Request Header Fields Too Large");
  }
  return true;
}

bool Endpoint::Send(Connection* connection) {
  const std::string& response = connection->response;
  while (connection->sent < response.size()) {
    const ssize_t n =
        send(connection->fd.get(), response.data() + connection->sent,
             response.size() - connection->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    connection->sent += static_cast<size_t>(n);
  }
  // Closing with unread input would reset the connection under the answer;
  // one request was read to its end, so say goodbye in order.
  shutdown(connection->fd.get(), SHUT_WR);
  return false;
}

void Endpoint::Close(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  reactor_->Cancel(found->second.deadline);
  reactor_->Remove(fd);
  connections_.erase(found);
}

}  // namespace

std::string AnswerHttp(const std::string& request, Registry& registry) {
  const absl::string_view line =
      absl::string_view(request).substr(0, request.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || first == last ||
      line.substr(last + 1).substr(0, 7) != "HTTP/1.") {
    return RespondError("400 Bad Request");
  }
  const absl::string_view method = line.substr(0, first);
  absl::string_view target = line.substr(first + 1, last - first - 1);
  target = target.substr(0, target.find('?'));
  if (method != "GET" && method != "HEAD") {
    return RespondError("405 Method Not Allowed");
  }
  const bool with_body = method == "GET";
  if (target == "/") {
    return Respond("200 OK", "text/plain; charset=utf-8",
                   "piniond: metrics are at /metrics\n", with_body);
  }
  if (target != "/metrics") return RespondError("404 Not Found");
  return Respond("200 OK", "text/plain; version=0.0.4; charset=utf-8",
                 registry.Render(), with_body);
}

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    const std::string& address, Registry& registry) {
  PINION_ASSIGN_OR_RETURN(SocketAddress bound, ParseSocketAddress(address));
  const auto* generic = reinterpret_cast<const sockaddr*>(&bound.storage);
  os::UniqueFd listener(socket(generic->sa_family,
                               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return os::ErrnoStatus("socket");
  const int yes = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listener.get(), generic, bound.size) != 0) {
    return os::ErrnoStatus(absl::StrCat("bind ", address));
  }
  if (listen(listener.get(), kMaxConnections) != 0) {
    return os::ErrnoStatus(absl::StrCat("listen on ", address));
  }
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound.storage),
                  &bound.size) != 0) {
    return os::ErrnoStatus(absl::StrCat("getsockname ", address));
  }
  const uint16_t port =
      ntohs(bound.storage.ss_family == AF_INET6
                ? reinterpret_cast<sockaddr_in6*>(&bound.storage)->sin6_port
                : reinterpret_cast<sockaddr_in*>(&bound.storage)->sin_port);
  PINION_ASSIGN_OR_RETURN(auto reactor, os::Reactor::Create());
  auto endpoint = std::make_unique<Endpoint>(std::move(listener), port,
                                             registry, std::move(reactor));
  PINION_RETURN_IF_ERROR(endpoint->Listen());
  return endpoint;
}

}  // namespace pinion::metrics
