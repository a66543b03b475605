// RunPodSandbox: record, cgroup, monitor, network, namespaces, ready. (A driver
// that needs a first process gets the monitor before the cgroup; without a
// network namespace made ahead the network comes after the namespaces.)

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/network_request.h"
#include "runtime/operations.h"
#include "runtime/plan/bandwidth.h"
#include "runtime/pod_files.h"
#include "runtime/pod_monitor.h"
#include "runtime/rollback.h"
#include "runtime/state_machine.h"
#include "runtime/user_namespaces.h"

namespace pinion::runtime {
namespace {

bool HasOwnNetwork(const state::PodSpec& spec) {
  return spec.namespaces().network() != state::NAMESPACE_NODE;
}

absl::StatusOr<plan::Bandwidth> BandwidthOf(const state::PodSpec& spec) {
  const auto value = [&spec](const char* key) -> std::string {
    const auto found = spec.annotations().find(key);
    return found == spec.annotations().end() ? "" : found->second;
  };
  return plan::ParseBandwidths(value(plan::kIngressBandwidth),
                               value(plan::kEgressBandwidth));
}

// Everything that can be refused before anything is touched.
absl::Status CheckSpec(Context& context, const state::PodSpec& spec) {
  const auto& handlers = context.options.handlers;
  if (!spec.runtime_handler().empty() &&
      std::find(handlers.begin(), handlers.end(), spec.runtime_handler()) ==
          handlers.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no runtime handler \"", spec.runtime_handler(),
                     "\" is configured; see runtime.handlers in pinion.toml"));
  }
  PINION_RETURN_IF_ERROR(
      context.deps.pod_cgroups->CheckParent(spec.cgroup_parent()));
  PINION_RETURN_IF_ERROR(CheckPodSysctls(context.options, spec));
  if (spec.namespaces().has_user_namespace()) {
    PINION_RETURN_IF_ERROR(context.user_namespaces);
    PINION_RETURN_IF_ERROR(CheckPodUserNamespace(spec));
  }
  PINION_RETURN_IF_ERROR(BandwidthOf(spec).status());
  PINION_RETURN_IF_ERROR(CheckNetworkRequest(spec, *context.deps.network));
  if (HasOwnNetwork(spec)) {
    const network::Readiness ready = context.deps.network->GetReadiness();
    if (!ready.ready) {
      return absl::FailedPreconditionError(absl::StrCat(
          "network is not ready: ", ready.reason, ": ", ready.message));
    }
  }
  return absl::OkStatus();
}

state::PodRecord NewRecord(Context& context, const state::PodSpec& spec) {
  state::PodRecord record;
  record.set_id(NewId());
  *record.mutable_spec() = spec;
  record.set_state(state::POD_CREATING);
  record.set_created_at_ns(Clock::Real().WallNanos());
  record.set_cgroup(
      context.deps.pod_cgroups->PathOf(record.id(), spec.cgroup_parent()));
  record.set_boot_id(context.boot_id);
  return record;
}

// What systemctl shows. Names only: annotations and labels never get near a
// unit's properties.
std::string Description(const state::PodSpec& spec) {
  return absl::StrCat("pinion pod ", spec.namespace_(), "/", spec.name());
}

monitor::SandboxRequest SandboxRequestFor(const state::PodSpec& spec) {
  monitor::SandboxRequest request;
  request.new_network = HasOwnNetwork(spec);
  request.new_uts = request.new_network;
  request.new_ipc = spec.namespaces().ipc() != state::NAMESPACE_NODE;
  // The containers' common /dev/shm, of the size other runtimes give it.
  if (request.new_ipc) request.shm_bytes = uint64_t{64} << 20;
  request.shared_pid = spec.namespaces().pid() == state::NAMESPACE_POD;
  if (request.new_uts) request.hostname = spec.hostname();
  const state::UserNamespace& mapped = spec.namespaces().user_namespace();
  request.uid_map = IdMapText(mapped.uids());
  request.gid_map = IdMapText(mapped.gids());
  request.sysctls.insert(spec.sysctls().begin(), spec.sysctls().end());
  return request;
}

// As the network wants it of the namespace that it puts interfaces into. One
// that is not made here has it from the monitor; the pod's own word counts.
void SetAdvertisements(os::RouterAdvertisements advertisements,
                       monitor::SandboxRequest& request) {
  if (advertisements == os::RouterAdvertisements::kIgnored &&
      os::KernelHasIpv6()) {
    request.sysctls.emplace("net.ipv6.conf.default.accept_ra", "0");
  }
}

// net.*.conf.default counts when an interface is made: the monitor sets these
// before there is one, so the network is not attached at the same time.
bool HasNetworkSysctl(const state::PodSpec& spec) {
  return std::any_of(
      spec.sysctls().begin(), spec.sysctls().end(),
      [](const auto& sysctl) { return sysctl.first.rfind("net.", 0) == 0; });
}

absl::StatusOr<os::UniqueFd> MakePodDir(Context& context,
                                        const std::string& id) {
  PINION_RETURN_IF_ERROR(os::MakeDirAt(context.pods_dir.get(), id, 0700));
  return os::OpenAt(context.pods_dir.get(), id, O_RDONLY | O_DIRECTORY);
}

absl::Status AttachNetwork(Context& context, Pod& pod,
                           const os::NetworkNamespace& netns) {
  network::AttachRequest request;
  request.pod_id = pod.id;
  request.netns_fd = netns.fd.get();
  request.netns_route_socket = netns.route_socket.get();
  const auto record = pod.record.Get();
  const state::PodSpec& spec = record->spec();
  request.host_ports = HostPortsOf(spec);
  request.pod_namespace = spec.namespace_();
  request.pod_name = spec.name();
  request.pod_uid = spec.uid();
  request.mode = NetworkModeOf(spec);
  request.heeds_routers = context.deps.network->HeedsRouters(request.mode);
  PINION_ASSIGN_OR_RETURN(const plan::Bandwidth bandwidth, BandwidthOf(spec));
  request.ingress_bits_per_second = bandwidth.ingress;
  request.egress_bits_per_second = bandwidth.egress;
  PINION_ASSIGN_OR_RETURN(request.secondary, NetworksOf(spec));
  PINION_ASSIGN_OR_RETURN_AS(const network::PodAddresses addresses,
                             context.deps.network->Attach(request),
                             "attach network");
  pod.record.Update([&addresses](state::PodRecord& r) {
    r.set_ip(addresses.ip);
    r.set_mac(addresses.mac);
    r.clear_additional_ips();
    for (const std::string& ip : addresses.additional_ips) {
      r.add_additional_ips(ip);
    }
    r.clear_secondary();
    for (const network::SecondaryInterface& one : addresses.secondary) {
      state::SecondaryInterface& added = *r.add_secondary();
      added.set_network(one.network);
      added.set_interface_name(one.interface_name);
      for (const std::string& ip : one.ips) added.add_ips(ip);
      added.set_mac(one.mac);
      added.set_parent(one.parent);
    }
    return true;
  });
  return absl::OkStatus();
}

// Monitor, namespaces, network. With a network namespace of the warm pool the
// pod gets its address while its monitor is being made.
absl::Status BuildSandbox(Context& context, const PodPtr& pod, int pod_dir,
                          PhaseTimer& phases)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  const auto record = pod->record.Get();
  const state::PodSpec& spec = record->spec();
  const std::string description = Description(spec);
  phases.Next("cgroup");
  PINION_ASSIGN_OR_RETURN_AS(const os::UniqueFd leaf,
                             context.deps.pod_cgroups->CreateAhead(
                                 pod->id, spec.cgroup_parent(), description),
                             "make the pod's cgroup");
  if (leaf.valid()) {
    PINION_RETURN_IF_ERROR(KeepMonitorOnReservedCpus(context, *pod));
  }
  phases.Next("monitor");
  monitor::SandboxRequest request = SandboxRequestFor(spec);
  std::optional<os::NetworkNamespace> netns;
  const os::RouterAdvertisements advertisements =
      AdvertisementsFor(*context.deps.network, NetworkModeOf(spec));
  // One that was made ahead belongs to the node's user namespace.
  if (request.new_network && request.uid_map.empty() &&
      !HasNetworkSysctl(spec)) {
    netns = context.warm->TakeNetwork(advertisements);
  }
  if (netns) {
    request.netns_fd = netns->fd.get();
  } else if (request.new_network) {
    SetAdvertisements(advertisements, request);
  }
  PodMonitorStart start(context, pod, pod_dir, leaf.get(), request);
  PINION_RETURN_IF_ERROR(start.Begin());
  if (!leaf.valid()) {
    PINION_RETURN_IF_ERROR(start.AwaitMonitor());
    phases.Next("cgroup");
    PINION_RETURN_IF_ERROR_AS(
        context.deps.pod_cgroups->Create(pod->id, spec.cgroup_parent(),
                                         description, pod->Monitor()->pid()),
        "make the pod's cgroup");
    PINION_RETURN_IF_ERROR(KeepMonitorOnReservedCpus(context, *pod));
    phases.Next("monitor");
  }
  context.deps.container_cgroups->GuardPod(record->cgroup());
  PINION_RETURN_IF_ERROR(start.BeginSandbox());
  PINION_RETURN_IF_ERROR(WritePodFiles(pod_dir, spec));
  absl::Status attached;
  if (netns) {
    phases.Next("network");
    attached = AttachNetwork(context, *pod, *netns);
  }
  phases.Next("namespaces");
  // Also after a failure: the monitor is then known, and can be undone.
  PINION_ASSIGN_OR_RETURN(monitor::Sandbox sandbox, start.AwaitSandbox());
  if (request.new_network && !netns) {
    phases.Next("network");
    attached = AttachNetwork(
        context, *pod,
        {std::move(sandbox.netns), std::move(sandbox.netns_route_socket)});
  }
  return attached;
}

absl::Status BuildPod(Context& context, const PodPtr& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  PhaseTimer phases(context.instruments);
  phases.Next("record");
  PINION_RETURN_IF_ERROR(context.records->Save(*pod->record.Get()));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir, MakePodDir(context, pod->id));
  PINION_RETURN_IF_ERROR(BuildSandbox(context, pod, dir.get(), phases));
  phases.Next("ready");
  PINION_RETURN_IF_ERROR(WriteHostsFile(dir.get(), *pod->record.Get()));
  const auto ready = pod->record.Update([&phases](state::PodRecord& r) {
    if (!Apply(r, PodEvent::kReady)) return false;
    for (const state::Phase& phase : phases.Finish()) {
      *r.add_phases() = phase;
    }
    return true;
  });
  return context.records->Save(*ready);
}

absl::StatusOr<std::string> RunPodOnce(Context& context,
                                       const state::PodSpec& spec) {
  if (const PodPtr existing =
          context.objects.FindPodByIdentity(IdentityOf(spec))) {
    if (existing->record.Get()->state() == state::POD_READY) {
      return existing->id;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "pod sandbox ", existing->id, " has this name, namespace, uid and ",
        "attempt and is stopped; remove it, or raise the attempt"));
  }
  PINION_RETURN_IF_ERROR(CheckSpec(context, spec));
  const WarmPool::Quiet quiet(*context.warm);
  const auto pod = std::make_shared<Pod>(NewRecord(context, spec));
  const absl::MutexLock lock(&pod->operation);
  Rollback rollback;
  rollback.Add([&context, &pod]()
                   ABSL_NO_THREAD_SAFETY_ANALYSIS { UndoPod(context, pod); });
  PINION_RETURN_IF_ERROR(BuildPod(context, pod));
  context.objects.Add(pod);
  context.instruments.pods.Add(1);
  rollback.Commit();
  PublishEvent(context, EventKind::kCreated, *pod, pod->id);
  PublishEvent(context, EventKind::kStarted, *pod, pod->id);
  return pod->id;
}

network::HostPort::Protocol ToProtocol(state::PortMapping::Protocol protocol) {
  switch (protocol) {
    case state::PortMapping::UDP:
      return network::HostPort::Protocol::kUdp;
    case state::PortMapping::SCTP:
      return network::HostPort::Protocol::kSctp;
    default:
      return network::HostPort::Protocol::kTcp;
  }
}

}  // namespace

std::vector<network::HostPort> HostPortsOf(const state::PodSpec& spec) {
  std::vector<network::HostPort> ports;
  for (const state::PortMapping& mapping : spec.port_mappings()) {
    if (mapping.host_port() == 0) continue;
    ports.push_back({ToProtocol(mapping.protocol()),
                     static_cast<uint16_t>(mapping.host_port()),
                     static_cast<uint16_t>(mapping.container_port()),
                     mapping.host_ip()});
  }
  return ports;
}

absl::StatusOr<std::string> RunPod(Context& context,
                                   const state::PodSpec& spec) {
  return context.joins.Run("pod " + IdentityOf(spec), [&context, &spec] {
    return RunPodOnce(context, spec);
  });
}

}  // namespace pinion::runtime
