// What every operation of the runtime works with. Made once by
// Runtime::Create; outlives all operations.
//
// Thread-safe: each member is.

#ifndef PINION_RUNTIME_CONTEXT_H_
#define PINION_RUNTIME_CONTEXT_H_

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/join_table.h"
#include "os/reactor.h"
#include "os/unique_fd.h"
#include "runtime/apparmor.h"
#include "runtime/cpu/pinning.h"
#include "runtime/events.h"
#include "runtime/exec_table.h"
#include "runtime/instruments.h"
#include "runtime/objects.h"
#include "runtime/plan/seccomp.h"
#include "runtime/records.h"
#include "runtime/runtime.h"
#include "runtime/warm_pool.h"
#include "runtime/work_queue.h"
#include "runtime/writable_layers.h"

namespace pinion::runtime {

struct Context {
  Context(Options the_options, Dependencies the_dependencies);
  // Disconnects from the monitors, which live on.
  ~Context();

  const Options options;
  const Dependencies deps;
  Instruments instruments;

  // Of this boot: /proc/sys/kernel/random/boot_id.
  std::string boot_id;
  // <root>, <root>/containers, <state>/pods.
  os::UniqueFd root_dir;
  os::UniqueFd containers_dir;
  os::UniqueFd pods_dir;
  os::UniqueFd monitor_image;
  // What containers' mount namespaces are copies of (os/detached_mount.h).
  // Invalid where roots cannot be mounted ahead (MountsRootAhead).
  os::UniqueFd empty_mounts;
  // Whether pods can have user namespaces of their own, or why not.
  absl::Status user_namespaces;

  std::unique_ptr<Records> records;
  std::unique_ptr<WritableLayers> writable_layers;
  plan::SeccompCompiler seccomp;
  AppArmor apparmor;
  ObjectTable objects;
  EventHub events;
  ExecTable execs;
  JoinTable<absl::StatusOr<std::string>> joins;
  JoinTable<absl::Status> start_joins;

  // Null unless CPUs are pinned (Options::cpu).
  std::unique_ptr<cpu::Pinning> pinning;

  // Set when the runtime ends: what would try again gives up.
  std::atomic<bool> stopping = false;
  // The part of the recovery that nobody waits for (recovery.cc).
  std::thread recovery;

  // Last, so that they end first: their callbacks use the rest.
  std::unique_ptr<WorkQueue> work;
  std::unique_ptr<os::Reactor> reactor;
  std::unique_ptr<WarmPool> warm;
};

// <state>/pods/<id>, and <root>/containers/<id>.
std::string PodDir(const Context& context, const std::string& pod_id);
std::string ContainerDir(const Context& context, const std::string& id);

// Deadline of one request to a monitor: a stopped or hung monitor must not
// hold an RPC (and its pod's lock) for longer.
std::chrono::steady_clock::time_point MonitorDeadline();

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CONTEXT_H_
