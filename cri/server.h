// The gRPC server of the daemon: the CRI's two services and pinion's own
// AdminService on one unix socket.
//
// Wiring: open the state lock, make the runtime, then
//
//   PINION_ASSIGN_OR_RETURN(auto server, cri::Server::Create(options, deps));
//   … sd_notify READY, wait for SIGTERM …
//   absl::Status drained = server->Shutdown(std::chrono::seconds(5));
//   if (!drained.ok()) _exit(0);  // handlers still wait; containers live on
//
// Thread-safe after Create. Handlers run on the server's own threads, made as
// they are needed: a handler that waits (StopContainer with a grace) never
// keeps another call waiting.

#ifndef PINION_CRI_SERVER_H_
#define PINION_CRI_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion {
namespace image {
class ImageService;
}
namespace metrics {
class Registry;
}
namespace network {
class PodNetwork;
}
namespace runtime {
class Runtime;
}

namespace cri {
namespace streaming {
class Server;
}

struct Options {
  // Absolute; at most 103 bytes (sun_path holds 108, and the socket is made
  // under a longer name first). Its directory exists.
  std::string socket_path;
  // Name or number of the group that may use the socket, which is 0660;
  // empty: the daemon's own group.
  std::string socket_group;
  // Runtime handlers beside "", as in runtime::Options: for Status.
  std::vector<std::string> runtime_handlers;
  // Calls under way at once; one more is answered RESOURCE_EXHAUSTED. Each
  // costs a thread (a stack of some 20 KiB resident).
  int max_threads = 4096;
};

struct Dependencies {
  // All outlive the server.
  runtime::Runtime* runtime = nullptr;
  image::ImageService* images = nullptr;
  network::PodNetwork* network = nullptr;
  metrics::Registry* metrics = nullptr;
  // Null: Exec, Attach and PortForward are Unavailable.
  streaming::Server* streaming = nullptr;
  cgroup::DriverKind cgroup_driver = cgroup::DriverKind::kSystemd;
  // What Version answers as runtime_version: "0.1.0".
  std::string version;
  // The effective configuration as one JSON object, without secrets, for
  // Status with verbose; null: {}. Called on server threads.
  std::function<std::string()> config_json;
  const Clock* clock = &Clock::Real();
};

class Server {
 public:
  // Listens and serves. Call it only while the state lock is held: a socket
  // file that a dead daemon left is replaced; one that somebody still serves
  // is refused (FailedPrecondition). InvalidArgument for a bad path or group.
  // The process's umask should be 022 or stricter (os/socket_file.h).
  static absl::StatusOr<std::unique_ptr<Server>> Create(
      const Options& options, const Dependencies& dependencies);

  // Stops (without grace) and waits for every handler to return.
  ~Server();

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Removes the socket, takes no new call, gives those under way `grace` to
  // finish. DeadlineExceeded if handlers are still running then: the caller
  // ends the process rather than destroy the server (containers outlive it).
  // Idempotent.
  absl::Status Shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace cri
}  // namespace pinion

#endif  // PINION_CRI_SERVER_H_
