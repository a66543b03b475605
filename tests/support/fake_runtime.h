// A Runtime in memory that keeps the promises of runtime/runtime.h without
// any process: pods are ready at once, containers run until they are stopped.
//
// Thread-safe. The hooks are set before other threads use it.

#ifndef PINION_TESTS_SUPPORT_FAKE_RUNTIME_H_
#define PINION_TESTS_SUPPORT_FAKE_RUNTIME_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/runtime.h"

namespace pinion::testing_support {

class FakeRuntime : public runtime::Runtime {
 public:
  struct Hooks {
    // Called before the container counts as stopped, without any lock.
    std::function<absl::Status(const std::string& id, std::chrono::seconds)>
        stop_container;
    std::function<absl::StatusOr<runtime::ExecResult>(
        const std::string& id, const std::vector<std::string>& command,
        std::chrono::seconds timeout)>
        exec;
    // Streaming: Unimplemented where the test gives none.
    std::function<absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>>(
        const std::string& id, const std::vector<std::string>& command,
        const runtime::StreamOptions& options)>
        open_exec;
    std::function<absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>>(
        const std::string& id, const runtime::StreamOptions& options)>
        open_attach;
    std::function<absl::StatusOr<runtime::PortConnection>(
        const std::string& pod_id, uint16_t port)>
        connect_port;
    std::function<absl::Status()> run_pod;
    // Unimplemented where the test gives none.
    std::function<absl::Status(const std::string& id,
                               const std::string& location,
                               std::chrono::seconds timeout)>
        checkpoint;
    // Fill in what a measurement finds.
    std::function<void(runtime::ContainerUsage&)> measure_container;
    std::function<void(runtime::PodUsage&)> measure_pod;
  };
  Hooks hooks;
  // Tests publish what they like.
  runtime::EventHub events;
  std::set<std::string> handlers = {""};
  runtime::AppArmorState apparmor;
  runtime::CpuView cpus;

  absl::StatusOr<std::string> RunPod(const state::PodSpec& spec) override;
  absl::Status StopPod(const std::string& id) override;
  absl::Status RemovePod(const std::string& id) override;
  std::vector<runtime::PodSnapshot> ListPods() const override;
  absl::StatusOr<runtime::PodSnapshot> FindPod(
      const std::string& id) const override;

  absl::StatusOr<std::string> CreateContainer(
      const std::string& pod_id, const state::ContainerSpec& spec) override;
  absl::Status StartContainer(const std::string& id) override;
  void EndWaits() override {}
  absl::Status StopContainer(const std::string& id,
                             std::chrono::seconds grace) override;
  absl::Status RemoveContainer(const std::string& id) override;
  std::vector<runtime::ContainerSnapshot> ListContainers() const override;
  absl::StatusOr<runtime::ContainerSnapshot> FindContainer(
      const std::string& id) const override;

  absl::StatusOr<runtime::ExecResult> ExecSync(
      const std::string& container_id, const std::vector<std::string>& command,
      std::chrono::seconds timeout) override;
  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const runtime::StreamOptions& options) override;
  absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>> OpenAttach(
      const std::string& container_id,
      const runtime::StreamOptions& options) override;
  absl::StatusOr<runtime::PortConnection> ConnectPort(const std::string& pod_id,
                                                      uint16_t port) override;
  absl::Status ReopenLog(const std::string& container_id) override;
  absl::Status CheckpointContainer(const std::string& container_id,
                                   const std::string& location,
                                   std::chrono::seconds timeout) override;
  runtime::AppArmorState GetAppArmorState() const override { return apparmor; }
  std::string NetnsPath(const state::PodRecord& pod) const override;
  absl::Status UpdateContainer(const std::string& id,
                               const state::Resources& changes) override;
  absl::Status UpdatePod(const std::string& id,
                         const state::Resources& overhead,
                         const state::Resources& resources) override;
  std::shared_ptr<runtime::EventQueue> SubscribeEvents(
      std::function<void()> ready) override {
    return events.Subscribe(std::move(ready));
  }
  absl::StatusOr<runtime::CpuView> Cpus() const override { return cpus; }
  absl::StatusOr<runtime::ContainerUsage> MeasureContainer(
      const std::string& id, runtime::UsageDetail detail) const override;
  absl::StatusOr<runtime::PodUsage> MeasurePod(
      const std::string& id, runtime::UsageDetail detail) const override;
  absl::StatusOr<image::FsUsage> WritableUsage() const override;

  // Puts a record in as it is, or changes it.
  void PutPod(const state::PodRecord& pod);
  void PutContainer(const state::ContainerRecord& container);

 private:
  mutable absl::Mutex mutex_;
  int64_t now_ns_ ABSL_GUARDED_BY(mutex_) = 1'000'000'000;
  std::map<std::string, state::PodRecord> pods_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, state::ContainerRecord> containers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_RUNTIME_H_
