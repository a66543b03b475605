// A small HTTP/1.1 server on loopback whose handler writes the raw answer:
// for faults that no real server commits on request.
//
// Thread-safe. Each connection has a thread; one request is served on it.

#ifndef PINION_TESTS_SUPPORT_HTTP_SERVER_H_
#define PINION_TESTS_SUPPORT_HTTP_SERVER_H_

#include <functional>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::testing {

class HttpServer {
 public:
  struct Request {
    std::string method;
    std::string path;                            // with the query
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    std::string Header(const std::string& name) const;
  };

  class Connection {
   public:
    explicit Connection(int fd) : fd_(fd) {}

    // False once the client is gone.
    bool Send(const std::string& bytes);
    // A whole answer; `headers` are lines without their ends.
    void Answer(int status, const std::string& body,
                const std::vector<std::string>& headers = {});
    // Ends the connection with RST.
    void Reset();

   private:
    const int fd_;
  };

  using Handler = std::function<void(const Request&, Connection&)>;

  // Listens on a free port of 127.0.0.1 at once.
  explicit HttpServer(Handler handler);
  // Ends all connections.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "127.0.0.1:port"
  const std::string& address() const { return address_; }
  // The requests so far.
  std::vector<Request> requests() const;

 private:
  void Accept();
  void Serve(int fd);

  const Handler handler_;
  os::UniqueFd listener_;
  std::string address_;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<os::UniqueFd> connections_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::thread accept_thread_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_HTTP_SERVER_H_
