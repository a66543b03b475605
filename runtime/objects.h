// The pods and containers in memory, and the table that finds them.
//
// Thread-safe. Locks, in the order in which they may be taken:
//   1. Pod::operation   held through a mutation of the pod or its containers;
//                       never while a grace period runs out
//   2. ObjectTable's    for the time of a look-up
//   3. RecordCell's     for the time of a copy
// The reactor's callbacks take 2 and 3 only.

#ifndef PINION_RUNTIME_OBJECTS_H_
#define PINION_RUNTIME_OBJECTS_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/gate.h"
#include "runtime/monitor/client.h"
#include "runtime/record_cell.h"
#include "runtime/root_mount.h"
#include "runtime/usage_history.h"
#include "state.pb.h"

namespace pinion::runtime {

class Pod {
 public:
  // `is_known`: see `known`.
  explicit Pod(state::PodRecord initial, bool is_known = true)
      : id(initial.id()), record(std::move(initial)), known(is_known) {}

  const std::string id;
  // Serialises the mutations of this pod and of its containers.
  absl::Mutex operation;
  RecordCell<state::PodRecord> record;
  // Shut from the daemon's start until the monitor has told what happened
  // meanwhile, or the pod was ended: the records may be behind so long.
  Gate known;
  UsageHistory usage;

  // The connection to the monitor; null while there is none.
  std::shared_ptr<monitor::MonitorClient> Monitor() const {
    const absl::MutexLock lock(&mutex_);
    return monitor_;
  }
  // Returns the one it replaces, so that it is destroyed outside the lock.
  std::shared_ptr<monitor::MonitorClient> SetMonitor(
      std::shared_ptr<monitor::MonitorClient> monitor) {
    const absl::MutexLock lock(&mutex_);
    std::swap(monitor_, monitor);
    return monitor;
  }
  // The same for a connection whose monitor has not answered yet.
  std::shared_ptr<monitor::MonitorClient> SetReconnecting(
      std::shared_ptr<monitor::MonitorClient> monitor) {
    const absl::MutexLock lock(&mutex_);
    std::swap(reconnecting_, monitor);
    return monitor;
  }

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<monitor::MonitorClient> monitor_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<monitor::MonitorClient> reconnecting_ ABSL_GUARDED_BY(mutex_);
};

class Container {
 public:
  Container(std::shared_ptr<Pod> owner, state::ContainerRecord initial)
      : id(initial.id()),
        pod(std::move(owner)),
        record(std::move(initial)),
        start_told(record.Get()->state() != state::CONTAINER_CREATED) {}

  const std::string id;
  const std::shared_ptr<Pod> pod;
  RecordCell<state::ContainerRecord> record;
  UsageHistory usage;
  // From its creation until it is started or removed.
  RootMount root;
  // That it started has been published. Guarded by the EventHub: read and
  // written only while an event is made.
  bool start_told = false;
  // A checkpoint of it is being made.
  std::atomic<bool> in_checkpoint = false;
};

using PodPtr = std::shared_ptr<Pod>;
using ContainerPtr = std::shared_ptr<Container>;

// The name under which a kubelet retries.
std::string IdentityOf(const state::PodSpec& spec);
std::string IdentityOf(const std::string& pod_id,
                       const state::ContainerSpec& spec);

class ObjectTable {
 public:
  void Add(const PodPtr& pod);
  // Only to be found by id and listed: not what a retry is to find.
  void AddUnnamed(const PodPtr& pod);
  void Add(const ContainerPtr& container);
  void RemovePod(const std::string& id);
  void RemoveContainer(const std::string& id);

  // By full id or unambiguous prefix. NotFound; InvalidArgument if a prefix
  // is ambiguous.
  absl::StatusOr<PodPtr> FindPod(const std::string& id) const;
  absl::StatusOr<ContainerPtr> FindContainer(const std::string& id) const;

  // By identity; null if there is none.
  PodPtr FindPodByIdentity(const std::string& identity) const;
  ContainerPtr FindContainerByIdentity(const std::string& identity) const;

  std::vector<PodPtr> Pods() const;
  std::vector<ContainerPtr> Containers() const;
  std::vector<ContainerPtr> ContainersOf(const std::string& pod_id) const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, PodPtr> pods_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr> containers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::map<std::string, ContainerPtr>> by_pod_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> pod_identities_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> container_identities_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_OBJECTS_H_
