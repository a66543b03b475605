// The cgroup of one exec, and the two ways in which it goes.
//
// Not thread-safe. The context outlives it.

#ifndef PINION_RUNTIME_EXEC_CGROUP_H_
#define PINION_RUNTIME_EXEC_CGROUP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/context.h"

namespace pinion::runtime {

class ExecCgroup {
 public:
  // `pod` is the path of the pod's cgroup.
  ExecCgroup(Context& context, std::string pod, std::string container_id,
             std::string exec_id);

  absl::StatusOr<os::UniqueFd> Create() const;

  // SIGKILL to the whole tree.
  absl::Status Kill() const;

  // Removes it. What still runs in it was left there on purpose (a daemon that
  // a postStart hook started) and goes on; the cgroup goes with the container.
  void Leave() const;

  // Kills the whole tree, and removes the cgroup once it is empty. In the
  // background, without a thread that waits.
  void End() const;

 private:
  void KillAndWatch() const;
  void Remove() const;

  Context* context_;
  std::string pod_;
  std::string container_id_;
  std::string exec_id_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_EXEC_CGROUP_H_
