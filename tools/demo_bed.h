// The demo's surroundings: a scratch directory, a network namespace of its own
// (so nothing of this machine's network is touched, and no daemon that runs
// here is in the way), a registry on its loopback, and a private piniond.
//
// Not thread-safe; made while the process is single-threaded (unshare(2)).

#ifndef PINION_TOOLS_DEMO_BED_H_
#define PINION_TOOLS_DEMO_BED_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::tools {

class DemoBed {
 public:
  explicit DemoBed(bool keep) : keep_(keep) {}
  // Ends what still runs (monitors and containers too, whose reaper this
  // process is) and removes what was made.
  ~DemoBed();

  DemoBed(const DemoBed&) = delete;
  DemoBed& operator=(const DemoBed&) = delete;

  // Scratch directory, network namespace, cgroup parent. The text says what.
  absl::StatusOr<std::string> Prepare();
  // The repository's kit: tests/conformance/registry. NotFound if this is an
  // installed pinionctl far from it. The text is the registry's address.
  absl::StatusOr<std::string> StartRegistry();
  // Returns once it has said READY=1, as to a service manager.
  absl::StatusOr<std::string> StartDaemon();
  // SIGTERM; an error if it does not end well.
  absl::StatusOr<std::string> StopDaemon();

  std::string socket() const { return scratch_ + "/state/pinion.sock"; }
  std::string scratch() const { return scratch_; }
  std::string log_directory() const { return scratch_ + "/logs"; }
  std::string cgroup_parent() const { return cgroup_parent_; }
  // Below the mount point; empty under systemd.
  std::string cgroup_directory() const { return cgroup_directory_; }
  std::string cgroup_root() const { return cgroup_root_; }
  bool limits_work() const { return limits_work_; }
  uint16_t metrics_port() const { return metrics_port_; }

  // The last lines of piniond's log, for a failure.
  std::string DaemonLogTail() const;

 private:
  absl::Status MakeCgroupParent();
  absl::Status WriteConfig() const;
  void KillStrays() const;

  const bool keep_;
  std::string scratch_;
  std::string hosts_directory_;
  std::string kit_;
  std::string cgroup_root_;
  std::string cgroup_parent_;
  std::string cgroup_directory_;
  bool systemd_ = false;
  bool limits_work_ = false;
  uint16_t metrics_port_ = 9469;
  pid_t daemon_ = -1;
};

}  // namespace pinion::tools

#endif  // PINION_TOOLS_DEMO_BED_H_
