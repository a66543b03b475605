// A machine in memory below the runtime core: pod monitors, the processes
// they start, cgroups, addresses. Its calls can be told to fail, its
// processes to end and its monitors to die whenever a test likes, thousands of
// times a second, and afterwards it says what is left.
//
// The seam is the linker: fake_kernel_monitor.cc and fake_kernel_cgroup.cc
// define the members of monitor::MonitorClient and cgroup::ContainerCgroups, so
// a program with this library has no real ones. One per process.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_FAKE_KERNEL_H_
#define PINION_TESTS_SUPPORT_FAKE_KERNEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "network/pod_network.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/monitor/client.h"

namespace pinion::testing_support {

class FakeKernel {
 public:
  static FakeKernel& Get();

  // The n-th call from now on fails with it (1: the next); 0: none does.
  void FailCall(int n, absl::Status status);
  bool FaultHappened() const;

  // What the machine does by itself. False: there is no such thing.
  bool EndProcess(const std::string& id, int exit_code);
  bool LoseMonitor(const std::string& pod_id);

  // What there is.
  std::set<std::string> Monitors() const;
  std::set<std::string> PodCgroups() const;
  std::set<std::string> Leaves() const;   // container ids
  std::set<std::string> Running() const;  // ids of containers and execs
  std::set<std::string> Leases() const;   // pod ids

  // The calls; for the files that define the seam.
  absl::Status Call();
  absl::Status CreateLeaf(const std::string& path);
  bool HasPath(const std::string& path) const;
  bool IsPopulated(const std::string& path) const;
  // Of the cgroup and all below.
  void KillTree(const std::string& path);
  void RemoveTree(const std::string& path);
  // False: something runs in it.
  bool RemoveEmpty(const std::string& path);

  absl::Status CreatePodCgroup(const std::string& pod_id,
                               const std::string& path);
  void RemovePodCgroup(const std::string& pod_id);

  bool Attach(const std::string& pod_id);
  void Detach(const std::string& pod_id);
  void KeepLeases(const std::set<std::string>& pod_ids);

  // The daemon's end of a monitor's socket.
  struct Connection {
    explicit Connection(os::Reactor& the_reactor, monitor::Callbacks the_calls)
        : reactor(the_reactor), callbacks(std::move(the_calls)) {}
    os::Reactor& reactor;
    const monitor::Callbacks callbacks;
    // Held through a callback, which may close the connection.
    std::recursive_mutex mutex;
    bool closed = false;  // under mutex
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  void AddMonitor(const std::string& pod_id, const ConnectionPtr& connection);
  // No callback is posted to its reactor any more.
  void Disconnect(const std::string& pod_id, const ConnectionPtr& connection);
  // False: there is none. Replaces the connection.
  bool Connect(const std::string& pod_id, const ConnectionPtr& connection,
               std::vector<monitor::ContainerReport>* reports);
  bool HasMonitor(const std::string& pod_id) const;
  // `error` not empty: it could not start, and counts as ended.
  absl::Status AddProcess(const std::string& pod_id, const std::string& id,
                          const std::string& error);
  bool Knows(const std::string& pod_id, const std::string& id) const;
  // FailedPrecondition while it runs.
  absl::Status Forget(const std::string& pod_id, const std::string& id);
  // With everything in the pod; nobody is told.
  void EndMonitor(const std::string& pod_id);

 private:
  struct Process {
    bool running = false;
    bool told = false;
    monitor::ExitRecord exit;
  };
  struct Monitor {
    ConnectionPtr connection;
    std::map<std::string, Process> processes;
  };

  void EndLocked(const std::string& id, int exit_code, int signal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellLocked(const std::string& pod_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(const std::string& pod_id, const ConnectionPtr& connection);
  void LoseLocked(const std::string& pod_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  int countdown_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status fault_ ABSL_GUARDED_BY(mutex_);
  bool happened_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Monitor> monitors_ ABSL_GUARDED_BY(mutex_);
  // Also without their monitor, until their cgroup is killed.
  std::set<std::string> running_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> pod_cgroups_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> paths_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> leases_ ABSL_GUARDED_BY(mutex_);
};

// Its cgroups and addresses, as the runtime's dependencies.
std::unique_ptr<cgroup::PodCgroupDriver> NewFakePodCgroups();
std::unique_ptr<network::PodNetwork> NewFakeKernelNetwork();

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_KERNEL_H_
