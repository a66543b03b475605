// The pod's cgroup, and the leaves pinion makes below it. cgroup v2 only.
//
//   <cgroup_parent>/pinion-<pod id>.scope      the driver's part (systemd: a
//   │                                          transient, delegated scope)
//   ├── monitor/                               the pod monitor
//   └── <container id>/                        one leaf per container
//       └── exec-<id>/                         one per exec, no controllers
//
// A driver only makes and removes the pod's cgroup; everything below is the
// same code for every driver. Thread-safe; operations on one pod are
// serialised by the caller.

#ifndef PINION_RUNTIME_CGROUP_POD_CGROUP_H_
#define PINION_RUNTIME_CGROUP_POD_CGROUP_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::cgroup {

struct Protection;

enum class DriverKind { kSystemd, kCgroupfs };

// What this machine offers; found once at start.
struct Hierarchy {
  // The mount point of the v2 hierarchy: /sys/fs/cgroup, or
  // /sys/fs/cgroup/unified on a hybrid host.
  std::string root;
  bool hybrid = false;
  // cgroup.controllers at the root.
  std::vector<std::string> controllers;
};
absl::StatusOr<Hierarchy> FindHierarchy();

enum class MissingControllers {
  kRefuse,  // FailedPrecondition that names controller and remedy
  kIgnore,  // a warning and pinion_cgroup_ignored_limits_total
};

class PodCgroupDriver {
 public:
  virtual ~PodCgroupDriver() = default;
  virtual DriverKind kind() const = 0;

  // InvalidArgument if `cgroup_parent` is not what this driver takes (systemd:
  // a ….slice name; cgroupfs: an absolute path below the v2 root). Touches
  // nothing. Empty is the driver's default parent.
  virtual absl::Status CheckParent(const std::string& cgroup_parent) const = 0;

  // The cgroup the pod has or will have, below the v2 root, leading '/'.
  virtual std::string PathOf(const std::string& pod_id,
                             const std::string& cgroup_parent) const = 0;

  // Makes the pod's cgroup around the running process `monitor` (a scope
  // needs a first process), and moves it into monitor/. Idempotent; but an id
  // whose Create failed is not used again: what may come of it later is taken
  // back behind the caller's back.
  // `description` is what systemctl shows.
  virtual absl::Status Create(const std::string& pod_id,
                              const std::string& cgroup_parent,
                              const std::string& description,
                              pid_t monitor) = 0;

  // The same ahead of the monitor, with an empty monitor/, whose directory it
  // returns: a process that is cloned into it need not be moved (os/spawn.h
  // says what moving costs). Invalid where the driver cannot: Create, then.
  virtual absl::StatusOr<os::UniqueFd> CreateAhead(
      const std::string& /*pod_id*/, const std::string& /*cgroup_parent*/,
      const std::string& /*description*/) {
    return os::UniqueFd();
  }

  // What the pod's cgroup was promised by its files, told to whoever else
  // writes them: systemd, which sets them back to what it knows at each
  // daemon-reload. `path` as from PathOf.
  virtual absl::Status KeepProtection(const std::string& /*path*/,
                                      const Protection& /*protection*/) {
    return absl::OkStatus();
  }

  // Kills whatever is left inside, removes leaves and the pod's cgroup (and
  // the unit). Missing is success. `path` as from PathOf; empty: wherever a
  // pod of this id is found (for leftovers of ListPods).
  virtual absl::Status Remove(const std::string& pod_id,
                              const std::string& path) = 0;

  // Ids of pods of ours (DriverOptions::owner) that exist below any parent:
  // for recovery.
  virtual absl::StatusOr<std::vector<std::string>> ListPods() = 0;
};

struct DriverOptions {
  Hierarchy hierarchy;
  // systemd: "pinion.slice"-like; cgroupfs: "/pinion"-like. For requests
  // without a cgroup_parent.
  std::string default_parent;
  // Marks this daemon's pods (its root directory, say), so that ListPods of
  // several daemons on one host do not mix them up. Empty: no mark, ListPods
  // returns every pod.
  std::string owner;
};
absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriver(
    const DriverOptions& options);
absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewCgroupfsDriver(
    const DriverOptions& options);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_POD_CGROUP_H_
