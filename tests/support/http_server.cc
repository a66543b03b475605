#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace pinion::testing {
namespace {

constexpr size_t kMaxRequest = size_t{1} << 20;

// Up to and with the empty line, or nothing if the client went.
std::string ReadHead(int fd, std::string& rest) {
  std::string data;
  char buffer[4096];
  while (data.size() < kMaxRequest) {
    const size_t end = data.find("\r\n\r\n");
    if (end != std::string::npos) {
      rest = data.substr(end + 4);
      return data.substr(0, end);
    }
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) return "";
    data.append(buffer, static_cast<size_t>(n));
  }
  return "";
}

bool ParseRequest(int fd, HttpServer::Request& request) {
  const std::vector<std::string> lines =
      absl::StrSplit(ReadHead(fd, request.body), "\r\n");
  const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
  if (words.size() != 3) return false;
  request.method = words[0];
  request.path = words[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request.headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  size_t length = 0;
  (void)absl::SimpleAtoi(request.Header("content-length"), &length);
  char buffer[4096];
  while (request.body.size() < std::min(length, kMaxRequest)) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) return false;
    request.body.append(buffer, static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

std::string HttpServer::Request::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

bool HttpServer::Connection::Send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n =
        send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

void HttpServer::Connection::Answer(int status, const std::string& body,
                                    const std::vector<std::string>& headers) {
  std::string head =
      absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Length: ", body.size(),
                   "\r\nConnection: close\r\n");
  for (const std::string& header : headers) {
    absl::StrAppend(&head, header, "\r\n");
  }
  Send(absl::StrCat(head, "\r\n", body));
}

void HttpServer::Connection::Reset() {
  const linger now = {1, 0};  // socket(7): close sends RST
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

HttpServer::HttpServer(Handler handler)
    : handler_(std::move(handler)),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_.get(), generic, size) != 0 ||
      listen(listener_.get(), 64) != 0 ||
      getsockname(listener_.get(), generic, &size) != 0) {
    std::abort();
  }
  address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  accept_thread_ = std::thread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (const os::UniqueFd& fd : connections_) shutdown(fd.get(), SHUT_RDWR);
  }
  shutdown(listener_.get(), SHUT_RDWR);
  accept_thread_.join();
  std::list<std::thread> threads;
  {
    const absl::MutexLock lock(&mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<HttpServer::Request> HttpServer::requests() const {
  const absl::MutexLock lock(&mutex_);
  return requests_;
}

void HttpServer::Accept() {
  while (true) {
    os::UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const absl::MutexLock lock(&mutex_);
    if (!fd.valid() || stopping_) return;
    const int number = fd.get();
    connections_.push_back(std::move(fd));
    threads_.emplace_back([this, number] { Serve(number); });
  }
}

void HttpServer::Serve(int fd) {
  Request request;
  if (ParseRequest(fd, request)) {
    {
      const absl::MutexLock lock(&mutex_);
      requests_.push_back(request);
    }
    Connection connection(fd);
    handler_(request, connection);
  }
  const absl::MutexLock lock(&mutex_);
  connections_.remove_if(
      [fd](const os::UniqueFd& other) { return other.get() == fd; });
}

}  // namespace pinion::testing
