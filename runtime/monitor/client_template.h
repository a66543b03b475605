// The daemon's side of a template (template.h): a process that makes monitors
// by copying itself.
//
// Thread-safe.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_TEMPLATE_H_
#define PINION_RUNTIME_MONITOR_CLIENT_TEMPLATE_H_

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "os/reactor.h"
#include "os/unique_fd.h"
#include "runtime/monitor/client.h"
#include "runtime/monitor/client_spawn.h"

namespace pinion::monitor {

class MonitorTemplate {
 public:
  // `image_fd` as in MonitorClient::SpawnOptions. `on_lost` is called once, on
  // the reactor's thread, when the template has ended by itself. The reactor
  // outlives this object, and reaps the template and its copies.
  static absl::StatusOr<std::unique_ptr<MonitorTemplate>> Create(
      int image_fd, os::Reactor& reactor, std::function<void()> on_lost);
  // Ends the template; its copies live on.
  ~MonitorTemplate();

  MonitorTemplate(const MonitorTemplate&) = delete;
  MonitorTemplate& operator=(const MonitorTemplate&) = delete;

  // Asks for a copy, without waiting: MonitorClient::Clone. The daemon's end of
  // its connection, which hangs up if there will be no copy. InvalidArgument:
  // the id has not a pod id's length. Unavailable: the template does not read,
  // or is gone.
  absl::StatusOr<os::UniqueFd> Clone(
      const MonitorClient::SpawnOptions& options);

  // One that does not answer. What it was asked for before may hang up.
  void Kill() { process_.Kill(); }
  pid_t pid() const { return process_.pid; }

 private:
  struct Link;

  MonitorTemplate(os::Reactor& reactor, SpawnedMonitor process,
                  std::shared_ptr<Link> link)
      : reactor_(reactor),
        process_(std::move(process)),
        link_(std::move(link)) {}

  os::Reactor& reactor_;
  const SpawnedMonitor process_;
  const std::shared_ptr<Link> link_;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_TEMPLATE_H_
