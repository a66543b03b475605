// Sequences of CRI requests, as a kubelet with bad luck makes them, against
// the whole runtime core on a kernel in memory (tests/support/fake_kernel.h)
// whose calls fail, whose processes end and whose monitors die in between;
// restarts of the daemon included. After each request the records, the
// kernel and the files say the same (invariant L), and an answer is one that
// the CRI allows. Each step is three bytes: what, on which, and what goes
// wrong.

#include <dirent.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "cri/image_service_images.h"
#include "cri/runtime_service_container.h"
#include "cri/runtime_service_exec.h"
#include "cri/runtime_service_sandbox.h"
#include "cri/runtime_service_update.h"
#include "metrics/metrics.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/runtime.h"
#include "tests/support/fake_image_service.h"
#include "tests/support/fake_kernel.h"

namespace {

namespace api = pinion::cri::api;
namespace state = pinion::state;
using pinion::testing_support::FakeKernel;
using Names = std::set<std::string>;

constexpr size_t kMaxSteps = 64;
constexpr int kPodNames = 3;
constexpr int kContainerNames = 3;
constexpr char kImage[] = "shop/web:1";

// On tmpfs, for the life of the process.
std::string scratch_path;

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "broken promise: %s\n", what.c_str());
  if (!scratch_path.empty()) std::filesystem::remove_all(scratch_path);
  abort();
}

void Require(bool promise, const std::string& what) {
  if (!promise) Fail(what);
}

// Which containers hold layers.
class HeldImages : public pinion::testing_support::FakeImageService {
 public:
  absl::StatusOr<pinion::image::ImageInfo> Hold(
      const std::string& reference, const std::string& holder) override {
    const absl::Status status = FakeKernel::Get().Call();
    if (!status.ok()) return status;
    auto image = FakeImageService::Hold(reference, holder);
    if (image.ok()) holders_.insert(holder);
    return image;
  }
  absl::Status HoldLayers(const std::vector<std::string>&,
                          const std::string& holder) override {
    holders_.insert(holder);
    return absl::OkStatus();
  }
  void Release(const std::string& holder) override { holders_.erase(holder); }

  void ForgetHolders() { holders_.clear(); }
  const Names& holders() const { return holders_; }

 private:
  Names holders_;
};

class Scratch {
 public:
  Scratch() {
    char path[] = "/dev/shm/pn-cri-sequence-XXXXXX";
    Require(mkdtemp(path) != nullptr, "mkdtemp /dev/shm");
    scratch_path = path;
  }
  ~Scratch() { std::filesystem::remove_all(scratch_path); }
  const std::string& path() const { return scratch_path; }
};

class Node {
 public:
  Node()
      : pod_cgroups_(pinion::testing_support::NewFakePodCgroups()),
        network_(pinion::testing_support::NewFakeKernelNetwork()),
        cgroups_({"/nowhere", false, {}},
                 pinion::cgroup::MissingControllers::kIgnore),
        metrics_(pinion::metrics::Registry::Create()) {
    pinion::image::ImageInfo image;
    image.id = "sha256:" + std::string(64, 'a');
    image.repo_tags = {kImage};
    image.config.user = "1002:7";
    images_.Put(image);
    Restart();
  }

  void Restart() {
    runtime_.reset();
    images_.ForgetHolders();
    pinion::runtime::Options options;
    options.root = scratch_.path() + "/root";
    options.state = scratch_.path() + "/state";
    options.handlers = {"fast"};
    pinion::runtime::Dependencies dependencies;
    dependencies.images = &images_;
    dependencies.network = network_.get();
    dependencies.pod_cgroups = pod_cgroups_.get();
    dependencies.container_cgroups = &cgroups_;
    dependencies.metrics = metrics_.get();
    auto runtime = pinion::runtime::Runtime::Create(options, dependencies);
    Require(runtime.ok(), "restart: " + runtime.status().ToString());
    runtime_ = *std::move(runtime);
  }

  pinion::runtime::Runtime& runtime() { return *runtime_; }
  HeldImages& images() { return images_; }
  const std::string& scratch() const { return scratch_.path(); }

 private:
  const Scratch scratch_;
  HeldImages images_;
  const std::unique_ptr<pinion::cgroup::PodCgroupDriver> pod_cgroups_;
  const std::unique_ptr<pinion::network::PodNetwork> network_;
  pinion::cgroup::ContainerCgroups cgroups_;
  const std::unique_ptr<pinion::metrics::Registry> metrics_;
  std::unique_ptr<pinion::runtime::Runtime> runtime_;
};

Names NamesIn(const std::string& dir) {
  Names names;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    names.insert(entry.path().filename());
  }
  return names;
}

std::string FirstNotIn(const Names& some, const Names& all) {
  for (const std::string& name : some) {
    if (all.count(name) == 0) return name;
  }
  return "";
}

// Empty, or what records, kernel and files do not agree about.
std::string Disagreement(Node& node) {
  const FakeKernel& kernel = FakeKernel::Get();
  Names ready, with_network, unfinished, existing, running;
  for (const auto& pod : node.runtime().ListPods()) {
    if (pod->state() == state::POD_NOT_READY) continue;
    // A stop whose undoing failed is gone on with by the next one.
    Names& where = pod->state() == state::POD_READY ? ready : unfinished;
    where.insert(pod->id());
    if (pod->spec().namespaces().network() != state::NAMESPACE_NODE) {
      with_network.insert(pod->id());
    }
  }
  for (const auto& container : node.runtime().ListContainers()) {
    existing.insert(container->id());
    if (container->state() == state::CONTAINER_RUNNING) {
      running.insert(container->id());
    }
  }
  Names alive = ready;
  alive.insert(unfinished.begin(), unfinished.end());
  Names leased = with_network;
  for (const std::string& pod : unfinished) leased.erase(pod);
  const auto differ = [](const std::string& what, const Names& must,
                         const Names& are, const Names& may) {
    const std::string missing = FirstNotIn(must, are);
    if (!missing.empty()) return absl::StrCat(what, " lacks ", missing);
    const std::string extra = FirstNotIn(are, may);
    return extra.empty() ? "" : absl::StrCat(what, " has ", extra);
  };
  const std::string containers_dir = node.scratch() + "/root/containers";
  for (const std::string& found :
       {differ("monitors", ready, kernel.Monitors(), alive),
        differ("pod cgroups", ready, kernel.PodCgroups(), alive),
        differ("leases", leased, kernel.Leases(), alive),
        differ("running processes", running, kernel.Running(), running),
        differ("leaves", running, kernel.Leaves(), existing),
        differ("held images", existing, node.images().holders(), existing),
        differ("pod directories", ready,
               NamesIn(node.scratch() + "/state/pods"), alive),
        differ("container directories", existing, NamesIn(containers_dir),
               existing)}) {
    if (!found.empty()) return found;
  }
  return "";
}

// What the reactor and the work queue still do is waited for.
void RequireAgreement(Node& node, const char* after) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::string found = Disagreement(node);
  while (!found.empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
    found = Disagreement(node);
  }
  Require(found.empty(), absl::StrCat("after ", after, ": ", found));
}

// What may go wrong in a step; the low five bits say at which call.
absl::Status FaultOf(uint8_t byte) {
  switch (byte >> 5) {
    case 1:
      return absl::UnavailableError("it is gone");
    case 2:
      return absl::ResourceExhaustedError("no room");
    case 3:
      return absl::DeadlineExceededError("it does not answer");
    case 4:
      return absl::FailedPreconditionError("exec /nope: ENOENT");
    case 5:
      return absl::InternalError("EIO");
    default:
      return absl::OkStatus();
  }
}

class Sequence {
 public:
  explicit Sequence(Node* node) : node_(*node) {}

  void Step(uint8_t what, uint8_t which, uint8_t fault) {
    const absl::Status status = FaultOf(fault);
    FakeKernel::Get().FailCall(status.ok() ? 0 : (fault & 31) + 1, status);
    const Operation& operation = kOperations[what % std::size(kOperations)];
    (this->*operation.run)(which);
    FakeKernel::Get().FailCall(0, absl::OkStatus());
    RequireAgreement(node_, operation.name);
  }

  // Whatever happened, removal ends it all.
  void End() {
    FakeKernel::Get().FailCall(0, absl::OkStatus());
    for (const auto& pod : node_.runtime().ListPods()) {
      api::RemovePodSandboxRequest request;
      api::RemovePodSandboxResponse response;
      request.set_pod_sandbox_id(pod->id());
      const absl::Status status =
          Sandboxes().RemovePodSandbox(request, &response);
      Require(status.ok(), "the last removal: " + status.ToString());
    }
    Require(node_.runtime().ListPods().empty(), "pods are left");
    Require(node_.runtime().ListContainers().empty(), "containers are left");
    RequireAgreement(node_, "everything");
  }

 private:
  struct Operation {
    const char* name;
    void (Sequence::*run)(uint8_t which);
  };
  static const Operation kOperations[15];

  pinion::cri::SandboxRpcs Sandboxes() {
    return {&node_.runtime(), &pinion::Clock::Real()};
  }
  pinion::cri::ContainerRpcs Containers() {
    return pinion::cri::ContainerRpcs(&node_.runtime());
  }

  // No fault, no excuse.
  void RequireAllowed(const absl::Status& status, bool must_succeed,
                      const char* call) {
    const std::string text = absl::StrCat(call, ": ", status.ToString());
    if (status.ok()) return;
    Require(status.message().size() < 2048 && !status.message().empty(), text);
    if (FakeKernel::Get().FaultHappened()) return;
    Require(!must_succeed, text);
    Require(absl::IsNotFound(status) || absl::IsFailedPrecondition(status) ||
                absl::IsInvalidArgument(status) ||
                absl::IsUnavailable(status) || absl::IsAlreadyExists(status),
            text);
  }

  // Of what exists, by number; or an unknown one.
  std::string PodId(uint8_t which) {
    const auto pods = node_.runtime().ListPods();
    const size_t at = which % (pods.size() + 1);
    return at == pods.size() ? std::string(64, 'f') : pods[at]->id();
  }
  std::string ContainerId(uint8_t which) {
    const auto containers = node_.runtime().ListContainers();
    const size_t at = which % (containers.size() + 1);
    return at == containers.size() ? std::string(64, 'f')
                                   : containers[at]->id();
  }
  bool PodIs(const std::string& id, state::PodState wanted) {
    const auto pod = node_.runtime().FindPod(id);
    return pod.ok() && (*pod)->state() == wanted;
  }
  bool ContainerIs(const std::string& id, state::ContainerState wanted) {
    const auto container = node_.runtime().FindContainer(id);
    return container.ok() && (*container)->state() == wanted;
  }

  // False while one that has lost its monitor is being ended, too.
  bool PodOfIsReady(const std::string& container_id) {
    const auto container = node_.runtime().FindContainer(container_id);
    return container.ok() && PodIs((*container)->pod_id(), state::POD_READY);
  }

  void RunPod(uint8_t which) {
    api::RunPodSandboxRequest request;
    api::PodSandboxConfig& config = *request.mutable_config();
    const std::string name = absl::StrCat("web-", which % kPodNames);
    config.mutable_metadata()->set_name(name);
    config.mutable_metadata()->set_uid("uid-" + name);
    config.mutable_metadata()->set_namespace_("shop");
    config.mutable_metadata()->set_attempt(which / kPodNames % 2);
    config.set_log_directory(node_.scratch() + "/log/" + name);
    config.set_hostname(name);
    if (which & 0x40) {
      config.mutable_linux()
          ->mutable_security_context()
          ->mutable_namespace_options()
          ->set_network(api::NODE);
    }
    if (which & 0x80) request.set_runtime_handler("fast");
    const size_t before = node_.runtime().ListPods().size();
    api::RunPodSandboxResponse response;
    const absl::Status status = Sandboxes().RunPodSandbox(request, &response);
    RequireAllowed(status, false, "RunPodSandbox");
    if (!status.ok()) return;
    Require(PodIs(response.pod_sandbox_id(), state::POD_READY),
            "RunPodSandbox answered, and the pod is not ready");
    api::RunPodSandboxResponse again;
    Require(Sandboxes().RunPodSandbox(request, &again).ok() &&
                again.pod_sandbox_id() == response.pod_sandbox_id(),
            "a retry of RunPodSandbox did not find its pod");
    Require(node_.runtime().ListPods().size() <= before + 1, "two pods");
  }

  void StopPod(uint8_t which) {
    api::StopPodSandboxRequest request;
    api::StopPodSandboxResponse response;
    request.set_pod_sandbox_id(PodId(which));
    const absl::Status status = Sandboxes().StopPodSandbox(request, &response);
    RequireAllowed(status, true, "StopPodSandbox");
    Require(!status.ok() || !PodIs(request.pod_sandbox_id(), state::POD_READY),
            "a stopped pod is ready");
  }

  void RemovePod(uint8_t which) {
    api::RemovePodSandboxRequest request;
    api::RemovePodSandboxResponse response;
    request.set_pod_sandbox_id(PodId(which));
    const absl::Status status =
        Sandboxes().RemovePodSandbox(request, &response);
    RequireAllowed(status, true, "RemovePodSandbox");
    Require(
        !status.ok() || !node_.runtime().FindPod(request.pod_sandbox_id()).ok(),
        "a removed pod is there");
  }

  void PodStatus(uint8_t which) {
    api::PodSandboxStatusRequest request;
    api::PodSandboxStatusResponse response;
    request.set_pod_sandbox_id(PodId(which));
    request.set_verbose(which & 0x80);
    const absl::Status status =
        Sandboxes().PodSandboxStatus(request, &response);
    RequireAllowed(status, false, "PodSandboxStatus");
    Require(
        status.ok() == node_.runtime().FindPod(request.pod_sandbox_id()).ok(),
        "PodSandboxStatus: " + status.ToString());
  }

  void List(uint8_t which) {
    api::ListPodSandboxRequest pods;
    api::ListPodSandboxResponse pod_list;
    if (which & 1) pods.mutable_filter()->set_id(PodId(which).substr(0, 12));
    Require(Sandboxes().ListPodSandbox(pods, &pod_list).ok(), "list of pods");
    api::ListContainersRequest containers;
    api::ListContainersResponse list;
    if (which & 2) containers.mutable_filter()->set_id(ContainerId(which));
    Require(Containers().ListContainers(containers, &list).ok(),
            "list of containers");
  }

  void CreateContainer(uint8_t which) {
    api::CreateContainerRequest request;
    request.set_pod_sandbox_id(PodId(which));
    api::ContainerConfig& config = *request.mutable_config();
    config.mutable_metadata()->set_name(
        absl::StrCat("server-", which / 16 % kContainerNames));
    config.mutable_image()->set_image(which & 0x80 ? "shop/absent:1" : kImage);
    config.add_command("/bin/server");
    config.set_log_path(config.metadata().name() + "/0.log");
    if ((which & 0xc0) == 0x40) {
      // Found out once the image is held.
      config.add_mounts()->set_container_path("/data");
      config.mutable_mounts(0)->set_host_path(node_.scratch() + "/absent");
    }
    api::CreateContainerResponse response;
    const bool ready = PodIs(request.pod_sandbox_id(), state::POD_READY);
    const size_t before = node_.runtime().ListContainers().size();
    const absl::Status status =
        Containers().CreateContainer(request, &response);
    RequireAllowed(status, false, "CreateContainer");
    if (!status.ok()) return;
    Require(ready || node_.runtime().ListContainers().size() == before,
            "a new container in a pod that is not ready");
    api::CreateContainerResponse again;
    const absl::Status retried = Containers().CreateContainer(request, &again);
    Require(!retried.ok() || again.container_id() == response.container_id(),
            "a retry of CreateContainer made a second one");
  }

  void StartContainer(uint8_t which) {
    api::StartContainerRequest request;
    api::StartContainerResponse response;
    request.set_container_id(ContainerId(which));
    const std::string& id = request.container_id();
    const auto container = node_.runtime().FindContainer(id);
    const bool can = container.ok() &&
                     (*container)->state() == state::CONTAINER_CREATED &&
                     PodIs((*container)->pod_id(), state::POD_READY) &&
                     FakeKernel::Get().HasMonitor((*container)->pod_id());
    const absl::Status status = Containers().StartContainer(request, &response);
    RequireAllowed(status, can, "StartContainer");
    Require(status.ok() || !ContainerIs(id, state::CONTAINER_CREATED) || !can,
            "a failed start left a container that was never started");
  }

  void StopContainer(uint8_t which) {
    api::StopContainerRequest request;
    api::StopContainerResponse response;
    request.set_container_id(ContainerId(which));
    request.set_timeout(which & 0x80 ? 30 : 0);
    const bool ready = PodOfIsReady(request.container_id());
    const absl::Status status = Containers().StopContainer(request, &response);
    RequireAllowed(status, ready, "StopContainer");
    Require(!status.ok() ||
                !ContainerIs(request.container_id(), state::CONTAINER_RUNNING),
            "a stopped container runs");
  }

  void RemoveContainer(uint8_t which) {
    api::RemoveContainerRequest request;
    api::RemoveContainerResponse response;
    request.set_container_id(ContainerId(which));
    const absl::Status status =
        Containers().RemoveContainer(request, &response);
    RequireAllowed(status, true, "RemoveContainer");
    Require(!status.ok() ||
                !node_.runtime().FindContainer(request.container_id()).ok(),
            "a removed container is there");
  }

  void ContainerStatus(uint8_t which) {
    api::ContainerStatusRequest request;
    api::ContainerStatusResponse response;
    request.set_container_id(ContainerId(which));
    request.set_verbose(which & 0x80);
    const absl::Status status =
        Containers().ContainerStatus(request, &response);
    RequireAllowed(status, false, "ContainerStatus");
    if (!status.ok()) return;
    const api::ContainerStatus& answer = response.status();
    Require(answer.state() != api::CONTAINER_RUNNING ||
                (answer.started_at() > 0 && answer.finished_at() == 0),
            "times of a running container");
    Require(answer.state() != api::CONTAINER_EXITED || !answer.reason().empty(),
            "an end without a reason");
  }

  void Exec(uint8_t which) {
    api::ExecSyncRequest request;
    api::ExecSyncResponse response;
    request.set_container_id(ContainerId(which));
    request.add_cmd("true");
    request.set_timeout(1);
    pinion::cri::ExecRpcs rpcs(&node_.runtime());
    const bool runs =
        ContainerIs(request.container_id(), state::CONTAINER_RUNNING) &&
        PodOfIsReady(request.container_id());
    const absl::Status status = rpcs.ExecSync(request, &response);
    RequireAllowed(status, runs, "ExecSync");
    Require(!status.ok() || response.stdout() == "hello\n",
            "output of an exec");
  }

  void Update(uint8_t which) {
    api::UpdateContainerResourcesRequest request;
    api::UpdateContainerResourcesResponse response;
    request.set_container_id(ContainerId(which));
    request.mutable_linux()->set_cpu_shares(which * 2 + 2);
    const auto before = node_.runtime().FindContainer(request.container_id());
    pinion::cri::UpdateRpcs rpcs(&node_.runtime());
    const absl::Status status =
        rpcs.UpdateContainerResources(request, &response);
    RequireAllowed(status, false, "UpdateContainerResources");
    if (status.ok() || !before.ok()) return;
    const auto after = node_.runtime().FindContainer(request.container_id());
    Require(after.ok() && (*after)->spec().resources().cpu_shares() ==
                              (*before)->spec().resources().cpu_shares(),
            "a refused update was half done");
  }

  void EndProcess(uint8_t which) {
    const std::string id = ContainerId(which);
    FakeKernel::Get().EndProcess(id, which % 3);
  }

  void LoseMonitor(uint8_t which) {
    const std::string id = PodId(which);
    FakeKernel::Get().LoseMonitor(id);
    // Who is asked meanwhile may see it die; afterwards it is over.
    while (PodIs(id, state::POD_READY) && !FakeKernel::Get().HasMonitor(id)) {
      std::this_thread::yield();
    }
  }

  void Restart(uint8_t) {
    FakeKernel::Get().FailCall(0, absl::OkStatus());
    node_.Restart();
  }

  Node& node_;
};

const Sequence::Operation Sequence::kOperations[15] = {
    {"RunPodSandbox", &Sequence::RunPod},
    {"CreateContainer", &Sequence::CreateContainer},
    {"StartContainer", &Sequence::StartContainer},
    {"ExecSync", &Sequence::Exec},
    {"StopContainer", &Sequence::StopContainer},
    {"RemoveContainer", &Sequence::RemoveContainer},
    {"StopPodSandbox", &Sequence::StopPod},
    {"RemovePodSandbox", &Sequence::RemovePod},
    {"PodSandboxStatus", &Sequence::PodStatus},
    {"ContainerStatus", &Sequence::ContainerStatus},
    {"the lists", &Sequence::List},
    {"UpdateContainerResources", &Sequence::Update},
    {"the end of a process", &Sequence::EndProcess},
    {"the loss of a monitor", &Sequence::LoseMonitor},
    {"a restart", &Sequence::Restart},
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  pinion::SetLogLevel(pinion::LogLevel::kError);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Node node;
  Sequence sequence(&node);
  for (size_t i = 0; i + 2 < size && i / 3 < kMaxSteps; i += 3) {
    sequence.Step(data[i], data[i + 1], data[i + 2]);
  }
  sequence.End();
  return 0;
}
