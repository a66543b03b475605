// A runtime core in the test's own process, with real monitors, containers and
// network namespaces (loopback only), no gRPC. Everything ended and removed
// with the object; then invariant L is checked, the test's own descriptors and
// threads included. Needs root.
//
// Thread-safe once it is made.

#ifndef PINION_TESTS_INTEGRATION_RUNTIME_RUNTIME_BED_H_
#define PINION_TESTS_INTEGRATION_RUNTIME_RUNTIME_BED_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "image/image_service.h"
#include "metrics/metrics.h"
#include "network/pod_network.h"
#include "runtime/runtime.h"
#include "state.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/invariant.h"

namespace pinion::runtime {

class RuntimeBed {
 public:
  // Exits the program with a message if it cannot be made.
  RuntimeBed();
  ~RuntimeBed();

  Runtime& runtime() { return *runtime_; }
  // As a daemon that dies and comes back: the pods live on.
  void Restart();

  // The test fails on an error.
  std::string RunPod(const std::string& name, bool host_network = false);
  state::ContainerSpec Spec(const std::string& name,
                            const std::string& script) const;
  std::string Run(const std::string& pod, const state::ContainerSpec& spec);
  std::string Run(const std::string& pod, const std::string& script) {
    return Run(pod, Spec("app", script));
  }
  // What ExecSync says on stdout; the test fails unless it succeeds.
  std::string Shell(const std::string& container, const std::string& script);
  // The names of the execs' cgroups of a container.
  std::vector<std::string> ExecCgroups(const std::string& container);
  // What `kubectl logs` would print of one stream.
  std::string Log(const std::string& container, const std::string& stream);
  state::ContainerRecord AwaitExit(const std::string& container);
  pid_t MonitorOf(const std::string& pod);

  const std::string& dir() const { return dir_; }

 private:
  void Open();
  testing_support::InvariantOptions WhatMustStay() const;

  std::string dir_;
  std::string cgroup_parent_;
  bool restarted_ = false;
  // In the order of their making.
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<image::ImageService> images_;
  std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<cgroup::PodCgroupDriver> driver_;
  std::unique_ptr<cgroup::ContainerCgroups> cgroups_;
  std::unique_ptr<Runtime> runtime_;
  testing_support::Snapshot before_;
};

using testing_support::Eventually;

// The bound of what hangs.
constexpr int kPatienceMs = 60'000;

// A session's reader: what a descriptor has, until its end (or EIO) or
// `deadline_ms` without a byte. Appends to *data; true at the end.
bool ReadToEnd(int fd, std::string* data, int deadline_ms = kPatienceMs);
// Reads until *data contains `text`; false at the end or the deadline.
bool ReadUntil(int fd, const std::string& text, std::string* data,
               int deadline_ms = kPatienceMs);
// Writes all of it, waiting for room.
bool WriteAll(int fd, const std::string& data, int deadline_ms = kPatienceMs);
// Waits for ended_fd; the outcome.
absl::StatusOr<int32_t> AwaitEnd(const ProcessStreams& streams,
                                 int deadline_ms = kPatienceMs);

// Of a live process; one that has ended fails the test and has SIZE_MAX.
size_t OpenFds(pid_t pid);
size_t Threads(pid_t pid);
// A line of smaps_rollup: "Pss", "Pss_Anon".
int64_t MemoryKib(pid_t pid, const std::string& key);

}  // namespace pinion::runtime

#endif  // PINION_TESTS_INTEGRATION_RUNTIME_RUNTIME_BED_H_
