#include "daemon/wiring.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/build_info.h"
#include "base/cpu_set.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/server.h"
#include "cri/streaming/server.h"
#include "cri/streaming_backend.h"
#include "daemon/pinning_check.h"
#include "daemon/state_lock.h"
#include "image/image_service.h"
#include "metrics/http_endpoint.h"
#include "metrics/process_metrics.h"
#include "network/addressing.h"
#include "network/factory.h"
#include "network/modes.h"
#include "network/secondary/plan.h"
#include "os/error.h"
#include "os/file.h"
#include "os/sqlite.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/pod_metrics.h"
#include "runtime/runtime.h"

namespace pinion::daemon {
namespace {

constexpr std::chrono::seconds kStopGrace{5};
constexpr std::chrono::seconds kStreamingGrace{2};

absl::StatusOr<gid_t> SocketGroup(const Config& config) {
  const std::string& group = config.cri.socket_group;
  gid_t gid = 0;
  if (group.empty() || absl::SimpleAtoi(group, &gid)) return gid;
  const struct group* entry = getgrnam(group.c_str());
  if (entry == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cri.socket_group: there is no group ", group));
  }
  return entry->gr_gid;
}

// The state directory is 0700; a group that may use the socket in it must get
// through to it (but not list it).
absl::Status OpenWayToSocket(const Config& config) {
  PINION_ASSIGN_OR_RETURN(const gid_t gid, SocketGroup(config));
  if (config.cri.socket_group.empty() ||
      !absl::StartsWith(config.SocketPath(), absl::StrCat(config.state, "/"))) {
    return absl::OkStatus();
  }
  if (chown(config.state.c_str(), 0, gid) != 0 ||
      chmod(config.state.c_str(), 0710) != 0) {
    return os::ErrnoStatus(absl::StrCat("chown ", config.state));
  }
  return absl::OkStatus();
}

std::string DatabasePath(const Config& config) {
  return absl::StrCat(config.root, "/state.db");
}

// A database that is damaged is set aside for one that is empty: the node
// comes back by itself, without what the records named (docs/recovery.md).
absl::Status CheckDatabase(const std::string& path) {
  const absl::Status damage = os::Database::Check(path);
  if (!absl::IsDataLoss(damage)) return damage;
  PINION_ASSIGN_OR_RETURN(const std::string kept, os::Database::SetAside(path));
  Log(LogLevel::kError,
      "records set aside and begun anew: pods are ended, images pulled again",
      {{"kept_as", kept}, {"error", damage.ToString()}});
  return absl::OkStatus();
}

image::Options ImageOptions(const Config& config) {
  image::Options options;
  options.root = config.root;
  options.database = DatabasePath(config);
  options.registry_config_dir = config.image.registry_config_dir;
  options.insecure_registries = config.image.insecure_registries;
  options.default_registry = config.image.default_registry;
  options.http_proxy = config.image.http_proxy;
  options.https_proxy = config.image.https_proxy;
  options.no_proxy = config.image.no_proxy;
  options.parallel_layers = static_cast<int>(config.image.parallel_layers);
  options.pinned_images = config.image.pinned;
  return options;
}

network::SecondaryOptions SecondaryOptionsOf(
    const SecondaryNetworkConfig& config) {
  using network::MacvlanMode;
  network::SecondaryOptions options;
  options.parent = config.parent;
  options.vlan = static_cast<uint32_t>(config.vlan);
  options.range = config.range;
  options.subnet = config.subnet;
  options.gateway = config.gateway;
  options.routes = config.routes;
  options.exclude = config.exclude;
  options.mtu = static_cast<uint32_t>(config.mtu);
  options.macvlan_mode = config.macvlan_mode == "vepa" ? MacvlanMode::kVepa
                         : config.macvlan_mode == "private"
                             ? MacvlanMode::kPrivate
                             : MacvlanMode::kBridge;
  return options;
}

network::Options::Mode ModeOf(const std::string& text) {
  using Mode = network::Options::Mode;
  return text == "none"     ? Mode::kNone
         : text == "cni"    ? Mode::kCni
         : text == "bridge" ? Mode::kBridge
         : text == "ipvlan" ? Mode::kIpvlan
                            : Mode::kMacvlan;
}

network::Options NetworkOptions(const Config& config) {
  network::Options options;
  options.mode = ModeOf(config.network.mode);
  for (const std::string& mode : config.network.modes) {
    options.modes.push_back(ModeOf(mode));
  }
  options.ipvlan_mode = config.network.ipvlan_mode == "l3s"
                            ? network::IpvlanMode::kL3s
                            : network::IpvlanMode::kL2;
  options.parent = config.network.parent;
  options.range = config.network.range;
  options.subnet = config.network.subnet;
  options.gateway = config.network.gateway;
  options.exclude = config.network.exclude;
  options.node_address = config.network.node_address;
  options.service_cidr = config.network.service_cidr;
  options.mtu = static_cast<uint32_t>(config.network.mtu);
  options.cool_down = config.network.cool_down;
  options.duplicate_probe = config.network.duplicate_probe;
  options.host_link = config.network.host_link;
  options.host_link_name = config.network.host_link_name;
  options.bridge_range = config.network.bridge_range;
  options.bridge_name = config.network.bridge_name;
  options.no_masquerade = config.network.no_masquerade;
  options.interface_name = config.network.interface_name;
  options.cni_conf_dir = config.network.cni_conf_dir;
  options.cni_bin_dirs = config.network.cni_bin_dirs;
  options.cni_timeout = config.network.cni_timeout;
  for (const auto& [name, network] : config.network.secondary) {
    options.secondary[name] = SecondaryOptionsOf(network);
  }
  options.cni_state_dir = absl::StrCat(config.root, "/cni");
  options.ipam_dir = absl::StrCat(config.state, "/ipam");
  return options;
}

cri::streaming::Options StreamingOptions(const Config& config) {
  cri::streaming::Options options;
  options.address = config.streaming.address;
  options.tls_certificate = config.streaming.tls_cert_file;
  options.tls_key = config.streaming.tls_key_file;
  options.idle_timeout = config.streaming.idle_timeout;
  options.max_sessions = static_cast<size_t>(config.streaming.max_sessions);
  return options;
}

runtime::Options RuntimeOptions(const Config& config) {
  runtime::Options options;
  options.root = config.root;
  options.state = config.state;
  options.handlers = config.runtime.handlers;
  options.seccomp_default = config.runtime.seccomp_default;
  options.allowed_unsafe_sysctls = config.runtime.allowed_unsafe_sysctls;
  options.cdi_spec_dirs = config.runtime.cdi_spec_dirs;
  options.warm_pods = static_cast<int>(config.runtime.warm_pods);
  options.cpu.pinning = config.cpu.pinning;
  // Parsed before: the configuration's check.
  options.cpu.reserved = CpuSet::Parse(config.cpu.reserved).value_or(CpuSet());
  options.cpu.numa = config.cpu.numa == "none" ? cpu::NumaPolicy::kNone
                     : config.cpu.numa == "single-numa-node"
                         ? cpu::NumaPolicy::kSingleNode
                         : cpu::NumaPolicy::kBestEffort;
  return options;
}

// sd_booted(3).
bool SystemdRuns() { return access("/run/systemd/system", F_OK) == 0; }

struct DriverPlan {
  bool systemd = false;
  std::string default_parent;
};

absl::StatusOr<DriverPlan> PlanDriver(const Config& config) {
  DriverPlan plan;
  const bool runs = SystemdRuns();
  plan.systemd = config.cgroup.driver == CgroupDriverChoice::kSystemd ||
                 (config.cgroup.driver == CgroupDriverChoice::kAuto && runs);
  if (plan.systemd && !runs) {
    return absl::FailedPreconditionError(
        "cgroup.driver = \"systemd\": systemd does not run this machine (no "
        "/run/systemd/system); use \"auto\" or \"cgroupfs\"");
  }
  plan.default_parent = config.cgroup.default_parent;
  if (plan.default_parent.empty()) {
    plan.default_parent = plan.systemd ? "pinion.slice" : "/pinion";
  }
  if (plan.systemd != absl::EndsWith(plan.default_parent, ".slice")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cgroup.default_parent: the ",
        plan.systemd ? "systemd driver wants a slice (pinion.slice)"
                     : "cgroupfs driver wants a path (/pinion)",
        ", not \"", plan.default_parent, "\""));
  }
  return plan;
}

absl::StatusOr<std::unique_ptr<cgroup::PodCgroupDriver>> MakeDriver(
    const Config& config, const cgroup::Hierarchy& hierarchy) {
  PINION_ASSIGN_OR_RETURN(const DriverPlan plan, PlanDriver(config));
  cgroup::DriverOptions options;
  options.hierarchy = hierarchy;
  options.owner = config.root;
  options.default_parent = plan.default_parent;
  return plan.systemd ? cgroup::NewSystemdDriver(options)
                      : cgroup::NewCgroupfsDriver(options);
}

class RunningDaemon final : public Daemon {
 public:
  explicit RunningDaemon(const Config& config) : config_(config) {}

  absl::Status Build();

  absl::Status Stop() override {
    // A pull may have minutes to go; the kubelet asks again.
    images_->Stop();
    runtime_->EndWaits();
    // Clients of execs are gone with us; what they started ends. (What a
    // session leaves after that, the pods' monitors end.)
    if (!streaming_->Stop(kStreamingGrace)) {
      Log(LogLevel::kWarning, "streaming sessions are still under way", {});
    }
    const absl::Status stopped = server_->Shutdown(kStopGrace);
    // Then this is not destroyed.
    if (!stopped.ok()) container_cgroups_->EndGuard();
    return stopped;
  }

  void SetConfig(const Config& config) override {
    const absl::MutexLock lock(&config_mutex_);
    config_ = config;
  }

  std::string Summary() const override {
    return absl::StrCat(driver_->kind() == cgroup::DriverKind::kSystemd
                            ? "systemd"
                            : "cgroupfs",
                        " cgroups, network ", NetworkText());
  }

 private:
  absl::Status Lock();
  absl::Status BuildMetrics();
  absl::Status BuildCgroups();
  absl::Status BuildServer();

  std::string NetworkText() const {
    const network::Readiness readiness = network_->GetReadiness();
    return readiness.ready ? "ready"
                           : absl::StrCat("not ready: ", readiness.message);
  }

  mutable absl::Mutex config_mutex_;
  Config config_ ABSL_GUARDED_BY(config_mutex_);

  // In the order of their making: destroyed from the last to the first.
  std::optional<StateLock> root_lock_;
  std::optional<StateLock> state_lock_;
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<image::ImageService> images_;
  std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<cgroup::PodCgroupDriver> driver_;
  std::unique_ptr<cgroup::ContainerCgroups> container_cgroups_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<metrics::HttpEndpoint> endpoint_;
  std::unique_ptr<cri::RuntimeBackend> streaming_backend_;
  std::unique_ptr<cri::streaming::Server> streaming_;
  std::unique_ptr<cri::Server> server_;
};

// Nobody else has a reference to this object until Build returns, so the
// configuration is read without the lock.
absl::Status RunningDaemon::Build() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  PINION_RETURN_IF_ERROR(Lock());
  PINION_RETURN_IF_ERROR(CheckDatabase(DatabasePath(config_)));
  PINION_RETURN_IF_ERROR(BuildMetrics());
  PINION_ASSIGN_OR_RETURN_AS(
      images_, image::ImageService::Create(ImageOptions(config_), *metrics_),
      "images");
  PINION_ASSIGN_OR_RETURN(
      network_, network::NewPodNetwork(NetworkOptions(config_), *metrics_));
  PINION_RETURN_IF_ERROR(BuildCgroups());
  runtime::Dependencies dependencies;
  dependencies.images = images_.get();
  dependencies.network = network_.get();
  dependencies.pod_cgroups = driver_.get();
  dependencies.container_cgroups = container_cgroups_.get();
  dependencies.metrics = metrics_.get();
  PINION_ASSIGN_OR_RETURN_AS(
      runtime_, runtime::Runtime::Create(RuntimeOptions(config_), dependencies),
      "runtime");
  runtime::AddPodMetrics(*metrics_, *runtime_);
  return BuildServer();
}

absl::Status RunningDaemon::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  PINION_ASSIGN_OR_RETURN(root_lock_, StateLock::Acquire(config_.root));
  if (config_.state != config_.root) {
    PINION_ASSIGN_OR_RETURN(state_lock_, StateLock::Acquire(config_.state));
  }
  PINION_RETURN_IF_ERROR(OpenWayToSocket(config_));
  const std::string socket = config_.SocketPath();
  return os::MakeDirs(socket.substr(0, socket.rfind('/')), 0755);
}

absl::Status RunningDaemon::BuildMetrics() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  metrics_ = metrics::Registry::Create();
  metrics::AddProcessMetrics(*metrics_);
  metrics::AddBuildInfo(*metrics_, kVersion, kCommit);
  return absl::OkStatus();
}

absl::Status RunningDaemon::BuildCgroups() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  PINION_ASSIGN_OR_RETURN_AS(const cgroup::Hierarchy hierarchy,
                             cgroup::FindHierarchy(), "cgroups");
  PINION_ASSIGN_OR_RETURN_AS(driver_, MakeDriver(config_, hierarchy),
                             "cgroups");
  cgroup::ContainerCgroupsOptions options;
  options.oom_group = config_.cgroup.oom_group;
  options.drift = config_.cgroup.drift;
  options.keep_protection = [driver = driver_.get()](
                                const std::string& path,
                                const cgroup::Protection& protection) {
    return driver->KeepProtection(path, protection);
  };
  options.metrics = metrics_.get();
  container_cgroups_ = std::make_unique<cgroup::ContainerCgroups>(
      hierarchy,
      config_.cgroup.ignore_missing_controllers
          ? cgroup::MissingControllers::kIgnore
          : cgroup::MissingControllers::kRefuse,
      options);
  return container_cgroups_->StartGuard();
}

absl::Status RunningDaemon::BuildServer() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (!config_.metrics.address.empty()) {
    PINION_ASSIGN_OR_RETURN_AS(
        endpoint_,
        metrics::HttpEndpoint::Start(config_.metrics.address, *metrics_),
        "metrics.address");
  }
  streaming_backend_ = std::make_unique<cri::RuntimeBackend>(runtime_.get());
  cri::streaming::Dependencies streaming_dependencies;
  streaming_dependencies.backend = streaming_backend_.get();
  streaming_dependencies.metrics = metrics_.get();
  PINION_ASSIGN_OR_RETURN_AS(
      streaming_,
      cri::streaming::Server::Start(StreamingOptions(config_),
                                    streaming_dependencies),
      "streaming");
  cri::Options options;
  options.socket_path = config_.SocketPath();
  options.socket_group = config_.cri.socket_group;
  options.runtime_handlers = config_.runtime.handlers;
  options.max_threads = static_cast<int>(config_.cri.max_calls);
  cri::Dependencies dependencies;
  dependencies.runtime = runtime_.get();
  dependencies.images = images_.get();
  dependencies.network = network_.get();
  dependencies.metrics = metrics_.get();
  dependencies.streaming = streaming_.get();
  dependencies.cgroup_driver = driver_->kind();
  dependencies.version = kVersion;
  dependencies.config_json = [this] {
    const absl::MutexLock lock(&config_mutex_);
    return ConfigJson(config_);
  };
  PINION_ASSIGN_OR_RETURN_AS(
      server_, cri::Server::Create(options, dependencies), "the CRI socket");
  return absl::OkStatus();
}

}  // namespace

absl::Status Daemon::Check(const Config& config) {
  PINION_RETURN_IF_ERROR(SocketGroup(config).status());
  PINION_RETURN_IF_ERROR(PlanDriver(config).status());
  PINION_RETURN_IF_ERROR(CheckPinning(config));
  PINION_RETURN_IF_ERROR_AS(
      cri::streaming::CheckOptions(StreamingOptions(config)),
      "the streaming server");
  const network::Options network = NetworkOptions(config);
  PINION_RETURN_IF_ERROR(network::CheckModes(network));
  return network::CheckSecondaryOptions(network);
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Config& config) {
  auto daemon = std::make_unique<RunningDaemon>(config);
  PINION_RETURN_IF_ERROR(daemon->Build());
  return daemon;
}

}  // namespace pinion::daemon
