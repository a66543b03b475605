#include "network/macvlan_network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "ipam/pool_reader.h"
#include "network/host_link.h"
#include "network/mac.h"
#include "network/parent.h"
#include "network/pod_link.h"
#include "network/service_nat.h"
#include "os/file.h"

namespace pinion::network {
namespace {

// No reason to fail a pod: they end by themselves when their clients pause.
void LogFlows(const absl::Status& status) {
  if (status.ok()) return;
  Log(LogLevel::kWarning, "UDP flows to host ports may go to where they went",
      {{"error", status.ToString()}});
}

using ipam::IpAddress;
using ipam::IpLease;
using ipam::IpRange;
using ipam::Owner;
using ipam::Pool;

// How many addresses are tried for one pod. The kernel takes a pod's link
// down some time after its namespace was closed; on a machine that is busy
// enough this can outlast the cool-down, and then the address's MAC is still
// taken.
constexpr int kAttempts = 16;

// Starts with a dot: no pool's name does (ipam::ListPools).
constexpr char kPodCidrFile[] = ".pod-cidr";

Readiness NotReady(const std::string& reason, std::string message) {
  return {.ready = false, .reason = reason, .message = std::move(message)};
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace

MacvlanNetwork::MacvlanNetwork(const Options& options, os::NetlinkSocket host,
                               metrics::Registry& registry)
    : options_(options),
      metrics_(registry),
      host_(std::move(host)),
      netfilter_(os::NetlinkSocket::OpenNetfilter()),
      readiness_(std::make_shared<const Readiness>()) {}

MacvlanNetwork::~MacvlanNetwork() = default;

absl::StatusOr<std::unique_ptr<MacvlanNetwork>> MacvlanNetwork::Create(
    const Options& options, metrics::Registry& registry) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket host, os::NetlinkSocket::Open());
  std::unique_ptr<MacvlanNetwork> network(
      new MacvlanNetwork(options, std::move(host), registry));
  // Before anything on the node is touched.
  PINION_ASSIGN_OR_RETURN(network->host_link_name_,
                          ClaimHostLinkName(options.host_link_name));
  PINION_ASSIGN_OR_RETURN(network->reactor_, os::Reactor::Create());
  PINION_ASSIGN_OR_RETURN(network->announcer_,
                          Announcer::Create(network->reactor_.get()));
  // Subscribed before the first look, so that no change is missed.
  PINION_ASSIGN_OR_RETURN(network->events_,
                          os::NetlinkSocket::Open(RTMGRP_LINK));
  {
    absl::MutexLock lock(&network->mutex_);
    network->range_ =
        options.range.empty() ? network->RememberedPodCidr() : options.range;
    network->Refresh();
  }
  MacvlanNetwork* const self = network.get();
  PINION_RETURN_IF_ERROR(
      network->reactor_->Add(network->events_->fd(), EPOLLIN,
                             [self](uint32_t) { self->OnLinkEvents(); }));
  return network;
}

Readiness MacvlanNetwork::GetReadiness() const { return *readiness_.load(); }

void MacvlanNetwork::Refresh() {
  Readiness now = TryRefresh();
  const std::shared_ptr<const Readiness> before = readiness_.load();
  if (now.ready != before->ready || now.reason != before->reason) {
    Log(now.ready ? LogLevel::kInfo : LogLevel::kWarning,
        now.ready ? "pod network is ready" : "pod network is not ready",
        {{"reason", now.reason}, {"detail", now.message}});
  }
  metrics_.ready.Set(now.ready ? 1 : 0);
  readiness_.store(std::make_shared<const Readiness>(std::move(now)));
}

Readiness MacvlanNetwork::TryRefresh() {
  absl::MutexLock host_lock(&host_mutex_);
  absl::StatusOr<Link> parent = EnsureParent(host_, options_);
  if (!parent.ok()) {
    parent_.reset();
    if (parent.status().code() == absl::StatusCode::kNotFound) {
      return NotReady("ParentMissing",
                      absl::StrCat("the parent device ", options_.parent,
                                   " does not exist; create it, or set "
                                   "network.parent"));
    }
    return NotReady("ParentFailed", Message(parent.status()));
  }
  parent_ = *parent;
  if (range_.empty()) {
    return NotReady("NoPodCidr",
                    "no address range is known yet: the kubelet tells the "
                    "node's PodCIDR, or set network.range");
  }
  if (spaces_.empty()) {
    if (const absl::Status status = OpenSpaces(); !status.ok()) {
      return NotReady("RangeUnusable", Message(status));
    }
  }
  if (options_.host_link) {
    if (Readiness node = SetUpNode(); !node.ready) return node;
  }
  if (!parent_->up || !parent_->carrier) {
    return NotReady("ParentDown", absl::StrCat("the parent device ",
                                               parent_->name, " is down"));
  }
  return {true, "", ""};
}

std::vector<FamilyPlan> MacvlanNetwork::Plans() const {
  std::vector<FamilyPlan> plans;
  for (const AddressSpace& space : spaces_) plans.push_back(space.plan);
  return plans;
}

Readiness MacvlanNetwork::SetUpNode() {
  const std::vector<FamilyPlan> plans = Plans();
  const bool services = std::any_of(
      plans.begin(), plans.end(),
      [](const FamilyPlan& plan) { return plan.services.has_value(); });
  const absl::Status link =
      EnsureHostLink(host_, options_, *parent_, plans).status();
  if (!link.ok()) return NotReady("HostLinkFailed", Message(link));
  node_mac_ = HostLinkMac(plans);

  absl::Status nat = netfilter_.status();
  if (nat.ok()) {
    nat = ReplaceServiceNat(*netfilter_, options_.host_link_name, plans);
  }
  // Without services there was at most something to remove.
  if (services && !nat.ok()) {
    return NotReady(
        "ServiceNatFailed",
        absl::StrCat("network.service_cidr needs nf_tables: ", Message(nat)));
  }
  if (host_ports_known_) {
    const absl::Status ports = ApplyHostPorts();
    if (!ports.ok()) return NotReady("HostPortsFailed", Message(ports));
  }
  return {true, "", ""};
}

absl::Status MacvlanNetwork::OpenSpaces() {
  PINION_ASSIGN_OR_RETURN(const std::vector<IpRange> ranges,
                          ParseRanges(range_));
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> parent_addresses,
                          ListAddresses(host_, parent_->index));
  PINION_ASSIGN_OR_RETURN(const std::vector<FamilyPlan> plans,
                          PlanAddresses(options_, ranges, parent_addresses));
  std::vector<AddressSpace> spaces;
  std::vector<std::shared_ptr<const Pool>> pools;
  for (const FamilyPlan& plan : plans) {
    PINION_ASSIGN_OR_RETURN(std::shared_ptr<Pool> pool,
                            Pool::Open(options_.ipam_dir, plan.range,
                                       {.cooldown = options_.cool_down}));
    if (!pool->set_aside().empty()) metrics_.pools_set_aside.Increment();
    pools.push_back(pool);
    spaces.push_back({.plan = plan, .pool = std::move(pool)});
  }
  spaces_ = std::move(spaces);
  metrics_.SetPools(std::move(pools));
  const std::vector<KnownPod> pods = std::exchange(unclaimed_, {});
  return ClaimKnown(pods);
}

void MacvlanNetwork::OnLinkEvents() {
  std::optional<Link> known;
  {
    absl::ReaderMutexLock lock(&mutex_);
    known = parent_;
  }
  const std::string parent = ParentName(options_);
  bool changed = false;
  const absl::Status status =
      events_->Receive([&](const os::NetlinkMessage& message) {
        const std::optional<Link> link = ParseLink(message);
        if (!link) return;
        const bool gone = message.type() == RTM_DELLINK;
        if (link->name == parent) {
          changed |= gone || !known || link->index != known->index ||
                     link->up != known->up || link->mtu != known->mtu ||
                     link->carrier != known->carrier;
        } else if (options_.host_link &&
                   link->name == options_.host_link_name) {
          changed |= gone || !link->up;
        }
      });
  // Messages were lost: look at everything.
  changed |= !status.ok();
  if (!changed) return;
  absl::MutexLock lock(&mutex_);
  Refresh();
}

absl::StatusOr<PodAddresses> MacvlanNetwork::Attach(
    const AttachRequest& request) {
  PINION_ASSIGN_OR_RETURN_AS(const Owner owner, Owner::FromId(request.pod_id),
                             "attach");
  const Stopwatch stopwatch;
  absl::StatusOr<PodAddresses> result;
  {
    absl::ReaderMutexLock lock(&mutex_);
    result = AttachLocked(request, owner);
  }
  if (result.ok()) {
    metrics_.attach_seconds.Observe(stopwatch.Seconds());
  } else {
    metrics_.attach_failures.Increment();
  }
  return result;
}

absl::StatusOr<std::vector<IpLease>> MacvlanNetwork::ClaimAll(Owner owner) {
  std::vector<IpLease> leases;
  for (const AddressSpace& space : spaces_) {
    const Stopwatch stopwatch;
    absl::StatusOr<IpLease> lease = space.pool->Claim(owner);
    metrics_.allocation_seconds.Observe(stopwatch.Seconds());
    if (!lease.ok()) {
      metrics_.exhausted.Increment();
      return lease.status();
    }
    leases.push_back(*std::move(lease));
  }
  return leases;
}

absl::StatusOr<PodAddresses> MacvlanNetwork::AttachLocked(
    const AttachRequest& request, Owner owner) {
  const std::shared_ptr<const Readiness> readiness = readiness_.load();
  if (!readiness->ready) {
    return absl::FailedPreconditionError(
        absl::StrCat("the pod network is not ready: ", readiness->reason, ": ",
                     readiness->message));
  }
  PINION_RETURN_IF_ERROR(ReserveHostPorts(request));
  absl::StatusOr<PodAddresses> result = AttachAnywhere(request, owner);
  if (!result.ok()) (void)CloseHostPorts(request.pod_id);
  return result;
}

absl::StatusOr<PodAddresses> MacvlanNetwork::AttachAnywhere(
    const AttachRequest& request, Owner owner) {
  absl::StatusOr<PodAddresses> result;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    PINION_ASSIGN_OR_RETURN(std::vector<IpLease> leases, ClaimAll(owner));
    result = AttachWith(request, leases);
    if (result.ok()) {
      for (IpLease& lease : leases) lease.Commit();
      return result;
    }
    if (os::NetlinkErrno(result.status()) != EADDRINUSE) break;
    for (IpLease& lease : leases) lease.Retire();
  }
  return result;
}

absl::StatusOr<PodAddresses> MacvlanNetwork::AttachWith(
    const AttachRequest& request, const std::vector<IpLease>& leases) {
  PodLinkSpec spec{.name = options_.interface_name,
                   .parent_index = parent_->index,
                   .mac = MacFor(leases.front().address()),
                   .node_mac = node_mac_};
  // Otherwise the kernel takes the parent's.
  if (options_.mtu < parent_->mtu) spec.mtu = options_.mtu;
  std::vector<PodAddress> pod_addresses;
  std::vector<IpAddress> addresses;
  for (size_t i = 0; i < leases.size(); ++i) {
    addresses.push_back(leases[i].address());
    pod_addresses.push_back({&spaces_[i].plan, addresses.back()});
  }
  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  PodLink link;
  {
    absl::MutexLock host_lock(&host_mutex_);
    PINION_ASSIGN_OR_RETURN(link,
                            CreatePodLink(host_, pod, request.netns_fd, spec));
  }
  PINION_RETURN_IF_ERROR(ConfigurePodLink(pod, spec, link, pod_addresses));
  // Last: no way leads to an address that another pod may still get.
  if (!request.host_ports.empty()) {
    PINION_RETURN_IF_ERROR(OpenHostPorts(request.pod_id, addresses));
  }

  // Nobody but pinion is on the automatic parent.
  if (options_.parent != kAutoParent) {
    announcer_->Announce(parent_->index, spec.mac, addresses);
  }
  PodAddresses result{.ip = addresses.front().ToString(),
                      .additional_ips = {},
                      .interface_name = options_.interface_name,
                      .mac = MacToString(spec.mac)};
  for (size_t i = 1; i < addresses.size(); ++i) {
    result.additional_ips.push_back(addresses[i].ToString());
  }
  return result;
}

absl::Status MacvlanNetwork::ReserveHostPorts(const AttachRequest& request) {
  if (request.host_ports.empty()) return absl::OkStatus();
  if (!options_.host_link) {
    return absl::FailedPreconditionError("host ports need network.host_link");
  }
  absl::MutexLock host_lock(&host_mutex_);
  PINION_RETURN_IF_ERROR(
      CheckHostPorts(host_ports_, request.pod_id, request.host_ports));
  PINION_RETURN_IF_ERROR(CheckReachable(request.host_ports, Plans()));
  WarnWithoutForwarding();
  host_ports_[request.pod_id] = {{}, request.host_ports};
  host_ports_used_ = true;
  return absl::OkStatus();
}

void MacvlanNetwork::WarnWithoutForwarding() {
  const auto forwards =
      os::ReadFileAt(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16);
  if (!forwards.ok() || *forwards != "0\n") return;
  Log(LogLevel::kWarning,
      "host ports are reached from this node only: net.ipv4.ip_forward is 0");
}

absl::Status MacvlanNetwork::OpenHostPorts(
    const std::string& pod_id, const std::vector<IpAddress>& addresses) {
  absl::MutexLock host_lock(&host_mutex_);
  HostPorts& ports = host_ports_[pod_id];
  ports.addresses = addresses;
  PINION_RETURN_IF_ERROR(ApplyHostPorts());
  if (netfilter_.ok()) LogFlows(EndFlowsBeforePorts(*netfilter_, ports));
  return absl::OkStatus();
}

absl::Status MacvlanNetwork::CloseHostPorts(const std::string& pod_id) {
  // Most nodes have no such pod; the others' locks are not waited for then.
  if (!host_ports_used_) return absl::OkStatus();
  absl::MutexLock host_lock(&host_mutex_);
  const auto closed = host_ports_.extract(pod_id);
  if (closed.empty() && !host_ports_stale_) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(ApplyHostPorts());
  if (!closed.empty() && netfilter_.ok()) {
    LogFlows(EndFlowsOfPorts(*netfilter_, closed.mapped()));
  }
  return absl::OkStatus();
}

absl::Status MacvlanNetwork::ApplyHostPorts() {
  const absl::Status status = WriteHostPorts();
  host_ports_stale_ = !status.ok();
  if (host_ports_stale_) host_ports_used_ = true;
  return status;
}

absl::Status MacvlanNetwork::WriteHostPorts() {
  if (!options_.host_link) return absl::OkStatus();
  if (!netfilter_.ok()) {
    return host_ports_.empty() ? absl::OkStatus() : netfilter_.status();
  }
  const std::string& name = options_.host_link_name;
  const auto link = FindLink(host_, name);
  // Without it the rules can still be taken away; its setting went with it.
  if (!link.ok() && !absl::IsNotFound(link.status())) return link.status();
  const auto route_localnet =
      [&](uint32_t value) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        if (!link.ok()) return absl::OkStatus();
        os::NetlinkBatch batch;
        AppendRouteLocalnet(batch, link->index, name, value);
        return host_.Transact(batch);
      };
  // Never without the rule that keeps pods from the node's loopback.
  if (host_ports_.empty()) PINION_RETURN_IF_ERROR(route_localnet(0));
  PINION_RETURN_IF_ERROR_AS(
      ReplaceHostPorts(*netfilter_, name, Plans(), host_ports_), "host ports");
  return host_ports_.empty() ? absl::OkStatus() : route_localnet(1);
}

absl::Status MacvlanNetwork::Detach(const std::string& pod_id) {
  PINION_ASSIGN_OR_RETURN_AS(const Owner owner, Owner::FromId(pod_id),
                             "detach");
  {
    absl::ReaderMutexLock lock(&mutex_);
    // First the way to the address, then the address.
    // It stays taken while a way may lead to it.
    PINION_RETURN_IF_ERROR(CloseHostPorts(pod_id));
    for (const AddressSpace& space : spaces_) space.pool->Release(owner);
    if (unclaimed_.empty()) return absl::OkStatus();
  }
  absl::MutexLock lock(&mutex_);
  std::erase_if(unclaimed_, [&pod_id](const KnownPod& pod) {
    return pod.pod_id == pod_id;
  });
  return absl::OkStatus();
}

absl::Status MacvlanNetwork::SetPodCidr(const std::string& pod_cidr) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<ipam::IpPrefix> prefixes,
                             ipam::ParsePrefixPerFamily(pod_cidr), "pod CIDR");
  if (prefixes.empty()) return absl::OkStatus();
  std::vector<IpRange> ranges(prefixes.begin(), prefixes.end());
  std::vector<std::string> names;
  for (const IpRange& range : ranges) names.push_back(range.name());
  const std::string wanted = absl::StrJoin(names, ",");

  absl::MutexLock lock(&mutex_);
  std::vector<LinkAddress> parent_addresses;
  if (parent_) {
    absl::MutexLock host_lock(&host_mutex_);
    PINION_ASSIGN_OR_RETURN(parent_addresses,
                            ListAddresses(host_, parent_->index));
  }
  PINION_RETURN_IF_ERROR_AS(
      PlanAddresses(options_, ranges, parent_addresses).status(), "pod CIDR");
  if (!options_.range.empty()) {
    Log(LogLevel::kInfo, "network.range is configured; PodCIDR left aside",
        {{"range", options_.range}, {"pod_cidr", wanted}});
    return absl::OkStatus();
  }
  if (wanted == range_) return absl::OkStatus();
  uint64_t in_use = 0;
  for (const AddressSpace& space : spaces_) {
    in_use += space.pool->GetUsage().in_use;
  }
  if (in_use != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the pod CIDR cannot change from ", range_, " to ", wanted,
                     " while ", in_use, " addresses are in use"));
  }
  PINION_RETURN_IF_ERROR(RememberPodCidr(wanted));
  range_ = wanted;
  spaces_.clear();
  metrics_.SetPools({});
  Refresh();
  return absl::OkStatus();
}

absl::Status MacvlanNetwork::Reconcile(const std::vector<KnownPod>& pods) {
  std::set<Owner> owners;
  for (const KnownPod& pod : pods) {
    PINION_ASSIGN_OR_RETURN_AS(const Owner owner, Owner::FromId(pod.pod_id),
                               "reconcile addresses");
    owners.insert(owner);
  }
  absl::MutexLock lock(&mutex_);
  if (spaces_.empty()) {
    unclaimed_ = pods;
    return RestoreHostPorts(pods);
  }
  for (const AddressSpace& space : spaces_) {
    const uint64_t freed = space.pool->Sweep(
        [&owners](Owner owner) { return owners.count(owner) != 0; });
    if (freed == 0) continue;
    Log(LogLevel::kInfo, "freed addresses of pods that are gone",
        {{"pool", space.plan.range.name()}, {"addresses", freed}});
  }
  // Whatever becomes of ports: nobody else gets a running pod's address.
  absl::Status result = ClaimKnown(pods);
  result.Update(RestoreHostPorts(pods));
  return result;
}

absl::Status MacvlanNetwork::RestoreHostPorts(
    const std::vector<KnownPod>& pods) {
  absl::MutexLock host_lock(&host_mutex_);
  host_ports_.clear();
  for (const KnownPod& pod : pods) {
    if (pod.host_ports.empty()) continue;
    HostPorts& ports = host_ports_[pod.pod_id];
    ports.ports = pod.host_ports;
    for (const std::string& ip : pod.ips) {
      const auto address = IpAddress::Parse(ip);
      if (address.ok()) ports.addresses.push_back(*address);
    }
  }
  host_ports_known_ = true;
  host_ports_used_ = !host_ports_.empty();
  // Else when there is a host link.
  return readiness_.load()->ready ? ApplyHostPorts() : absl::OkStatus();
}

absl::Status MacvlanNetwork::ClaimKnown(const std::vector<KnownPod>& pods) {
  absl::Status result;
  for (const KnownPod& pod : pods) {
    PINION_ASSIGN_OR_RETURN(const Owner owner, Owner::FromId(pod.pod_id));
    for (const std::string& ip : pod.ips) {
      PINION_ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(ip));
      for (const AddressSpace& space : spaces_) {
        // Of an earlier range: nobody else can get it now.
        if (!space.plan.range.Contains(address)) continue;
        const absl::Status status = space.pool->ClaimAddress(owner, address);
        // Excluded by now: nobody gets it either.
        if (status.code() == absl::StatusCode::kOutOfRange) continue;
        if (result.ok()) {
          result = Annotate(
              status, absl::StrCat("address of pod ", ShortId(pod.pod_id)));
        }
      }
    }
  }
  return result;
}

absl::Status MacvlanNetwork::RememberPodCidr(
    const std::string& pod_cidr) const {
  PINION_RETURN_IF_ERROR(os::MakeDirs(options_.ipam_dir, 0700));
  return os::ReplaceFileAt(AT_FDCWD, options_.ipam_dir + "/" + kPodCidrFile,
                           pod_cidr, 0600);
}

std::string MacvlanNetwork::RememberedPodCidr() const {
  const absl::StatusOr<std::string> text =
      os::ReadFileAt(AT_FDCWD, options_.ipam_dir + "/" + kPodCidrFile, 1024);
  // Missing at the first start. If it is damaged, the kubelet tells it again
  // when it starts itself.
  if (!text.ok() || !ParseRanges(*text).ok()) return "";
  return *text;
}

}  // namespace pinion::network
