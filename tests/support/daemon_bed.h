// A piniond of a test's own: scratch root, state, socket and configuration,
// one image imported, everything ended and removed with the object. Then
// invariant L is checked (tests/support/invariant.h): mounts, namespaces,
// links, cgroups, layers, addresses, monitors, and the daemon's descriptors,
// threads and zombies are what they were before the test.
//
// Call DaemonBed::EnterTestHost() first thing in main(): the test program and
// its daemons then live in a network namespace of their own, so that nothing
// touches the machine's network. Without it there is no bed. Needs root.
//
// Not thread-safe, but client() is.

#ifndef PINION_TESTS_SUPPORT_DAEMON_BED_H_
#define PINION_TESTS_SUPPORT_DAEMON_BED_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"
#include "tests/support/invariant.h"
#include "tests/support/test_archive.h"
#include "tools/cri_client.h"

namespace pinion::testing {

class DaemonBed {
 public:
  // The image every bed has.
  static constexpr const char* kImage = kTestImage;

  static void EnterTestHost();

  // `extra_toml` is added to the configuration, which ends with [network] and
  // its `range`. Exits the program with a message if the bed cannot be made:
  // nothing can be tested then.
  explicit DaemonBed(const std::string& extra_toml = "",
                     const std::string& range = "10.88.0.0/22");
  ~DaemonBed();

  // Another image of the kit (`registry images`), before the test makes
  // anything: it is among what must be there in the end.
  void Import(const std::string& reference);

  // Starts the daemon and waits until it serves.
  void Start();
  // After its records were lost on purpose: imports kImage again; what there
  // is then is what must be there in the end.
  void StartOver();
  // SIGKILL; the pods live on.
  void Kill();
  // SIGTERM; waits for the end, returns the exit code.
  int Terminate();

  pid_t pid() const { return pid_; }
  const tools::CriClient& client() const { return *client_; }
  const std::string& dir() const { return dir_; }
  std::string root() const { return dir_ + "/root"; }
  std::string state() const { return dir_ + "/state"; }
  std::string socket() const { return dir_ + "/state/pinion.sock"; }
  std::string daemon_log() const;
  // The cgroup all pods of this bed are below, relative to the v2 root.
  std::string cgroup_parent() const { return cgroup_parent_; }

  // Requests with this bed's directories; change them as the test needs.
  runtime::v1::PodSandboxConfig PodConfig(const std::string& name) const;
  runtime::v1::ContainerConfig ContainerConfig(
      const std::string& name, const std::vector<std::string>& command) const;

  // One RPC each; the test fails (ADD_FAILURE) on an error and gets "".
  std::string RunPod(const runtime::v1::PodSandboxConfig& config);
  std::string Create(const std::string& pod,
                     const runtime::v1::PodSandboxConfig& pod_config,
                     const runtime::v1::ContainerConfig& config);
  void StartContainer(const std::string& id);
  // Create and start.
  std::string RunContainer(const std::string& pod,
                           const runtime::v1::PodSandboxConfig& pod_config,
                           const runtime::v1::ContainerConfig& config);
  runtime::v1::ContainerStatus Status(const std::string& id);
  runtime::v1::PodSandboxStatus PodStatus(const std::string& id);
  // Waits for the container's end (bounded); its status.
  runtime::v1::ContainerStatus AwaitExit(const std::string& id);
  runtime::v1::ExecSyncResponse Exec(const std::string& id,
                                     const std::vector<std::string>& command);
  absl::Status StopPod(const std::string& id);
  absl::Status RemovePod(const std::string& id);
  // Every pod and container goes; what stays is the test's failure.
  void RemoveAll();

  // The message part of each line of a container's log.
  std::vector<std::string> LogLines(const std::string& pod_name,
                                    const std::string& container_name) const;
  // Until there is one; the test fails after a minute.
  void AwaitLog(const std::string& pod_name,
                const std::string& container_name) const;

 private:
  void WriteConfig(const std::string& extra_toml, const std::string& range);
  testing_support::InvariantOptions WhatMustStay() const;
  void CheckInvariant();
  void ImportImage(const std::string& reference);

  std::string dir_;
  std::string cgroup_parent_;
  pid_t pid_ = 0;
  std::unique_ptr<tools::CriClient> client_;
  // Of the first daemon, before the test did anything.
  pid_t first_pid_ = 0;
  testing_support::Snapshot before_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_DAEMON_BED_H_
