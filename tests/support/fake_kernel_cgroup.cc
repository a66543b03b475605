// cgroup::ContainerCgroups, PodCgroupDriver and PodNetwork over FakeKernel.

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/partition.h"
#include "tests/support/fake_kernel.h"

namespace pinion::testing_support {
namespace {

class FakePodCgroups final : public cgroup::PodCgroupDriver {
 public:
  cgroup::DriverKind kind() const override {
    return cgroup::DriverKind::kSystemd;
  }
  absl::Status CheckParent(const std::string&) const override {
    return absl::OkStatus();
  }
  std::string PathOf(const std::string& pod_id,
                     const std::string&) const override {
    return "/pods/" + pod_id;
  }
  absl::Status Create(const std::string& pod_id, const std::string& parent,
                      const std::string&, pid_t) override {
    PINION_RETURN_IF_ERROR(kernel_.Call());
    return kernel_.CreatePodCgroup(pod_id, PathOf(pod_id, parent));
  }
  absl::Status Remove(const std::string& pod_id, const std::string&) override {
    PINION_RETURN_IF_ERROR(kernel_.Call());
    kernel_.RemovePodCgroup(pod_id);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::string>> ListPods() override {
    const std::set<std::string> ids = kernel_.PodCgroups();
    return std::vector<std::string>(ids.begin(), ids.end());
  }

 private:
  FakeKernel& kernel_ = FakeKernel::Get();
};

class FakeNetwork final : public network::PodNetwork {
 public:
  absl::StatusOr<network::PodAddresses> Attach(
      const network::AttachRequest& request) override {
    PINION_RETURN_IF_ERROR(kernel_.Call());
    kernel_.Attach(request.pod_id);
    network::PodAddresses addresses;
    addresses.ip = "10.88.0.2";
    addresses.interface_name = "eth0";
    return addresses;
  }
  absl::Status Detach(const std::string& pod_id) override {
    PINION_RETURN_IF_ERROR(kernel_.Call());
    kernel_.Detach(pod_id);
    return absl::OkStatus();
  }
  network::Readiness GetReadiness() const override { return {true, "", ""}; }
  absl::Status SetPodCidr(const std::string&) override {
    return absl::OkStatus();
  }
  absl::Status Reconcile(const std::vector<network::KnownPod>& pods) override {
    std::set<std::string> known;
    for (const network::KnownPod& pod : pods) known.insert(pod.pod_id);
    kernel_.KeepLeases(known);
    return absl::OkStatus();
  }

 private:
  FakeKernel& kernel_ = FakeKernel::Get();
};

}  // namespace

std::unique_ptr<cgroup::PodCgroupDriver> NewFakePodCgroups() {
  return std::make_unique<FakePodCgroups>();
}

std::unique_ptr<network::PodNetwork> NewFakeKernelNetwork() {
  return std::make_unique<FakeNetwork>();
}

}  // namespace pinion::testing_support

namespace pinion::cgroup {

using testing_support::FakeKernel;

class DeviceFilters {};
class DriftGuard {};
class LimitBook {};
class Promises {};

namespace {

std::string LeafPath(const std::string& pod, const std::string& container) {
  return absl::StrCat(pod, "/", container);
}

std::string ExecPath(const std::string& pod, const std::string& container,
                     const std::string& exec) {
  return absl::StrCat(pod, "/", container, "/exec-", exec);
}

absl::StatusOr<os::UniqueFd> NewLeaf(const std::string& path) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  PINION_RETURN_IF_ERROR(FakeKernel::Get().CreateLeaf(path));
  return os::OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
}

absl::Status RemoveIfEmpty(const std::string& path) {
  if (FakeKernel::Get().RemoveEmpty(path)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("rmdir ", path, ": EBUSY"));
}

}  // namespace

ContainerCgroups::ContainerCgroups(Hierarchy hierarchy,
                                   MissingControllers missing,
                                   ContainerCgroupsOptions options)
    : hierarchy_(std::move(hierarchy)), missing_(missing), options_(options) {}

ContainerCgroups::~ContainerCgroups() = default;

absl::Status ContainerCgroups::StartGuard() { return absl::OkStatus(); }
void ContainerCgroups::GuardPod(const std::string&, bool) {}
void ContainerCgroups::Guard(const std::string&, const std::string&,
                             const state::Resources&) {}
bool ContainerCgroups::Unguard(const std::string&) { return false; }
void ContainerCgroups::LowerProtection(const std::string&) {}

absl::Status ContainerCgroups::Check(const state::Resources&) const {
  return absl::OkStatus();
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Create(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources&) {
  return NewLeaf(LeafPath(pod_path, container_id));
}

absl::Status ContainerCgroups::Update(
    const std::string& pod_path, const std::string& container_id,
    const state::Resources&, const std::function<absl::Status()>& commit,
    const std::set<std::string>*) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  if (!FakeKernel::Get().HasPath(LeafPath(pod_path, container_id))) {
    return absl::NotFoundError("no such cgroup");
  }
  return commit == nullptr ? absl::OkStatus() : commit();
}

absl::StatusOr<CpuSet> ContainerCgroups::SetCpus(const std::string& pod_path,
                                                 const std::string& leaf,
                                                 const CpuSet& cpus,
                                                 const CpuSet&) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  if (!FakeKernel::Get().HasPath(LeafPath(pod_path, leaf))) {
    return absl::NotFoundError("no such cgroup");
  }
  return cpus;
}

absl::Status ContainerCgroups::FreeMemoryNodes(const std::string&,
                                               const std::string&) {
  return FakeKernel::Get().Call();
}

absl::Status CheckPartitions(int) { return FakeKernel::Get().Call(); }

absl::Status MakePartition(int, const CpuSet&, const std::string&) {
  return FakeKernel::Get().Call();
}

absl::Status EndPartition(int, const CpuSet&) {
  return FakeKernel::Get().Call();
}

absl::Status GiveBackExclusive(int, const CpuSet&) {
  return FakeKernel::Get().Call();
}

absl::StatusOr<std::string> PartitionOf(int) { return "isolated"; }

absl::Status ContainerCgroups::SetDevices(int, const std::vector<DeviceRule>&) {
  return FakeKernel::Get().Call();
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::CreateExec(
    const std::string& pod_path, const std::string& container_id,
    const std::string& exec_id) {
  return NewLeaf(ExecPath(pod_path, container_id, exec_id));
}

absl::Status ContainerCgroups::Kill(const std::string& pod_path,
                                    const std::string& container_id) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  FakeKernel::Get().KillTree(LeafPath(pod_path, container_id));
  return absl::OkStatus();
}

absl::Status ContainerCgroups::KillExec(const std::string& pod_path,
                                        const std::string& container_id,
                                        const std::string& exec_id) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  FakeKernel::Get().KillTree(ExecPath(pod_path, container_id, exec_id));
  return absl::OkStatus();
}

absl::Status ContainerCgroups::Remove(const std::string& pod_path,
                                      const std::string& container_id) {
  PINION_RETURN_IF_ERROR(FakeKernel::Get().Call());
  FakeKernel::Get().RemoveTree(LeafPath(pod_path, container_id));
  return absl::OkStatus();
}

absl::Status ContainerCgroups::RemoveExec(const std::string& pod_path,
                                          const std::string& container_id,
                                          const std::string& exec_id) {
  return RemoveIfEmpty(ExecPath(pod_path, container_id, exec_id));
}

absl::Status ContainerCgroups::RemoveExecTree(const std::string& pod_path,
                                              const std::string& container_id,
                                              const std::string& exec_id) {
  FakeKernel::Get().RemoveTree(ExecPath(pod_path, container_id, exec_id));
  return absl::OkStatus();
}

// Nothing survives its kill here, so there is nothing to wait for; the tree
// goes with its container.
absl::StatusOr<os::UniqueFd> ContainerCgroups::ExecEvents(
    const std::string& pod_path, const std::string& container_id,
    const std::string& exec_id) {
  FakeKernel::Get().RemoveTree(ExecPath(pod_path, container_id, exec_id));
  return absl::NotFoundError("killed and removed");
}

absl::StatusOr<bool> ContainerCgroups::IsPopulated(
    const std::string& pod_path, const std::string& container_id) const {
  const std::string path = LeafPath(pod_path, container_id);
  if (!FakeKernel::Get().HasPath(path)) {
    return absl::NotFoundError("no such cgroup");
  }
  return FakeKernel::Get().IsPopulated(path);
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Open(const std::string&) const {
  return absl::NotFoundError("no such cgroup");
}

absl::StatusOr<os::UniqueFd> ContainerCgroups::Open(const std::string&,
                                                    const std::string&) const {
  return absl::NotFoundError("no such cgroup");
}

absl::StatusOr<uint64_t> ContainerCgroups::OomKills(const std::string&,
                                                    const std::string&) const {
  return 0;
}

}  // namespace pinion::cgroup
