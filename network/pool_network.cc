#include "network/pool_network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "ipam/pool_reader.h"
#include "network/host_link.h"
#include "network/modes.h"
#include "network/node_address_file.h"
#include "network/node_routes.h"
#include "network/pod_cidr_file.h"
#include "network/pod_link.h"
#include "os/file.h"

namespace pinion::network {
namespace {

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
// How many of them may be other stations' one after the other: a station that
// answers for every address (proxy ARP) would have the whole range rest.
constexpr int kAnswered = 3;

Readiness NotReady(const std::string& reason, std::string message) {
  return {.ready = false, .reason = reason, .message = std::move(message)};
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace

PoolNetwork::PoolNetwork(const Options& options, os::NetlinkSocket host,
                         metrics::Registry& registry)
    : options_(options),
      kind_(LinkKind::Of(options)),
      metrics_(registry, ModeText(options.mode)),
      host_(std::move(host)),
      netfilter_(os::NetlinkSocket::OpenNetfilter()),
      ports_(kind_->ParentName()),
      readiness_(std::make_shared<const Readiness>()) {}

PoolNetwork::~PoolNetwork() = default;

absl::StatusOr<std::unique_ptr<PoolNetwork>> PoolNetwork::Create(
    const Options& options, const std::string& pod_cidr,
    metrics::Registry& registry) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket host, os::NetlinkSocket::Open());
  std::unique_ptr<PoolNetwork> network(
      new PoolNetwork(options, std::move(host), registry));
  // Before anything on the node is touched.
  PINION_ASSIGN_OR_RETURN(network->host_link_name_,
                          ClaimHostLinkName(NodeLinkName(options)));
  PINION_ASSIGN_OR_RETURN(network->reactor_, os::Reactor::Create());
  PINION_ASSIGN_OR_RETURN(network->announcer_,
                          Announcer::Create(network->reactor_.get()));
  if (options.duplicate_probe && network->kind_->HasNeighbours()) {
    network->probe_ = std::make_unique<DuplicateProbe>(registry);
  }
  // Subscribed before the first look, so that no change is missed.
  PINION_ASSIGN_OR_RETURN(
      network->events_,
      OpenNodeEvents(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                     kNodeRouteGroups | network->kind_->NodeGroups()));
  PINION_RETURN_IF_ERROR(network->WatchRules());
  {
    absl::MutexLock lock(&network->mutex_);
    network->range_ = options.range.empty() ? pod_cidr : options.range;
    network->Refresh();
  }
  PoolNetwork* const self = network.get();
  PINION_RETURN_IF_ERROR(
      network->reactor_->Add(network->events_->fd(), EPOLLIN,
                             [self](uint32_t) { self->OnLinkEvents(); }));
  if (network->rules_ != nullptr) {
    PINION_RETURN_IF_ERROR(network->rules_->Start(
        network->reactor_.get(), [self] { self->WriteRulesAgain(); }));
  }
  return network;
}

Readiness PoolNetwork::GetReadiness() const { return *readiness_.load(); }

void PoolNetwork::Refresh() {
  const int parent_before = parent_ ? parent_->index : 0;
  Readiness now = TryRefresh();
  if ((parent_ ? parent_->index : 0) != parent_before) ++generation_;
  WarnOfLostLinks();
  const std::shared_ptr<const Readiness> before = readiness_.load();
  if (now.ready != before->ready || now.reason != before->reason) {
    Log(now.ready ? LogLevel::kInfo : LogLevel::kWarning,
        now.ready ? "pod network is ready" : "pod network is not ready",
        {{"reason", now.reason}, {"detail", now.message}});
  }
  metrics_.ready.Set(now.ready ? 1 : 0);
  const bool again = MayMendUnnoticed(now);
  readiness_.store(std::make_shared<const Readiness>(std::move(now)));
  if (!again || std::exchange(look_again_, true)) return;
  reactor_->After(kLookAgain, [this] {
    absl::MutexLock lock(&mutex_);
    look_again_ = false;
    if (!GetReadiness().ready) Refresh();
  });
}

Readiness PoolNetwork::TryRefresh() {
  absl::MutexLock host_lock(&host_mutex_);
  absl::StatusOr<Link> parent = kind_->EnsureParent(host_);
  if (!parent.ok()) {
    parent_.reset();
    if (parent.status().code() == absl::StatusCode::kNotFound) {
      return NotReady("ParentMissing",
                      absl::StrCat("the parent device ", kind_->ParentName(),
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
  const bool works = kind_->Works(*parent_);
  // What is seen of a NIC that is down says nothing of its addresses.
  if (works) {
    Readiness spaces = EnsureSpaces();
    if (!spaces.ready) return spaces;
  }
  if (options_.host_link && !spaces_.empty()) {
    Readiness node = SetUpNode();
    // A NIC that is down has lost its IPv6 addresses: that follows from it.
    if (!node.ready && works) return node;
  }
  if (!works) {
    return NotReady("ParentDown", absl::StrCat("the parent device ",
                                               parent_->name, " is down"));
  }
  return {true, "", ""};
}

Readiness PoolNetwork::EnsureSpaces() {
  const Readiness ready = {true, "", ""};
  if (AddressesInUse() != 0) {
    YieldNodeAddresses();
    return ready;
  }
  const absl::StatusOr<std::vector<FamilyPlan>> plans = MakePlans();
  if (!plans.ok()) {
    return NotReady(absl::IsFailedPrecondition(plans.status())
                        ? "NodeAddressGone"
                        : "RangeUnusable",
                    Message(plans.status()));
  }
  if (!spaces_.empty() && *plans == Plans()) return ready;
  spaces_.clear();
  metrics_.SetPools({});
  const absl::Status status = OpenSpaces(*plans);
  return status.ok() ? ready : NotReady("PoolFailed", Message(status));
}

std::vector<FamilyPlan> PoolNetwork::Plans() const {
  std::vector<FamilyPlan> plans;
  for (const AddressSpace& space : spaces_) plans.push_back(space.plan);
  return plans;
}

absl::Status PoolNetwork::OpenSpaces(const std::vector<FamilyPlan>& plans) {
  std::vector<AddressSpace> spaces;
  std::vector<std::shared_ptr<const Pool>> pools;
  for (const FamilyPlan& plan : plans) {
    PINION_ASSIGN_OR_RETURN(std::shared_ptr<Pool> pool,
                            Pool::Open(options_.ipam_dir, plan.range,
                                       {.cooldown = options_.cool_down}));
    if (!pool->set_aside().empty()) metrics_.pools_set_aside.Increment();
    pools.push_back(pool);
    spaces.push_back({.plan = plan, .pool = std::move(pool)});
    PINION_RETURN_IF_ERROR(
        RememberNodeAddress(options_, plan, HostLinkMac(plans)));
  }
  spaces_ = std::move(spaces);
  ++generation_;
  metrics_.SetPools(std::move(pools));
  const absl::Status settled = Settle();
  // What can be had is; that does not get better by refusing pods.
  if (!settled.ok()) {
    Log(LogLevel::kWarning, "an address of a known pod was not claimed",
        {{"error", settled.ToString()}});
  }
  return absl::OkStatus();
}

absl::StatusOr<PodAddresses> PoolNetwork::Attach(const AttachRequest& request) {
  PINION_ASSIGN_OR_RETURN_AS(const Owner owner, Owner::FromId(request.pod_id),
                             "attach");
  const Stopwatch stopwatch;
  absl::StatusOr<PodAddresses> result = AttachOwner(request, owner);
  if (result.ok()) {
    metrics_.attach_seconds.Observe(stopwatch.Seconds());
  } else {
    metrics_.attach_failures.Increment();
  }
  return result;
}

absl::Status PoolNetwork::CheckReady() const {
  const std::shared_ptr<const Readiness> readiness = readiness_.load();
  if (readiness->ready) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the pod network is not ready: ", readiness->reason, ": ",
                   readiness->message));
}

absl::StatusOr<PoolNetwork::Claim> PoolNetwork::ClaimAll(Owner owner) {
  absl::ReaderMutexLock lock(&mutex_);
  PINION_RETURN_IF_ERROR(CheckReady());
  Claim claim;
  claim.parent = *parent_;
  claim.generation = generation_;
  for (const AddressSpace& space : spaces_) {
    const Stopwatch stopwatch;
    absl::StatusOr<IpLease> lease = space.pool->Claim(owner);
    metrics_.allocation_seconds.Observe(stopwatch.Seconds());
    if (!lease.ok()) {
      metrics_.CountExhausted(space.plan.range.name());
      return lease.status();
    }
    claim.pools.push_back(space.pool);
    claim.leases.push_back(*std::move(lease));
  }
  return claim;
}

absl::StatusOr<PodAddresses> PoolNetwork::AttachOwner(
    const AttachRequest& request, Owner owner) {
  // What an earlier Attach gave a pod that runs is its own.
  BridgePorts::Addresses before;
  HostPorts host_ports_before;
  {
    absl::ReaderMutexLock lock(&mutex_);
    PINION_RETURN_IF_ERROR(CheckReady());
    PINION_ASSIGN_OR_RETURN(host_ports_before, ReserveHostPorts(request));
    before = PortOf(request.pod_id);
  }
  absl::StatusOr<PodAddresses> result = AttachAnywhere(request, owner);
  if (!result.ok()) {
    absl::ReaderMutexLock lock(&mutex_);
    ResetPort(request.pod_id, before);
    if (!request.host_ports.empty()) {
      (void)ResetHostPorts(request.pod_id, host_ports_before);
    }
  }
  return result;
}

absl::StatusOr<PodAddresses> PoolNetwork::AttachAnywhere(
    const AttachRequest& request, Owner owner) {
  absl::StatusOr<PodAddresses> result;
  int answered = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Stopwatch stopwatch;
    PINION_ASSIGN_OR_RETURN(Claim claim, ClaimAll(owner));
    metrics_.phase_seconds.claim.Observe(stopwatch.Seconds());
    // Without the lock: it takes 0.3 s.
    const absl::Status nobodys =
        probe_ == nullptr ? absl::OkStatus()
                          : probe_->Check(claim.parent, claim.leases);
    {
      absl::ReaderMutexLock lock(&mutex_);
      PINION_RETURN_IF_ERROR(CheckReady());
      if (claim.generation != generation_) {
        result = absl::AbortedError(
            "the node's range or parent device changed meanwhile");
        continue;
      }
      result = nobodys.ok() ? AttachWith(request, claim.leases)
                            : absl::StatusOr<PodAddresses>(nobodys);
      if (result.ok()) {
        for (IpLease& lease : claim.leases) lease.Commit();
        return result;
      }
    }
    if (!AddressStillHeld(result.status())) return result;
    for (IpLease& lease : claim.leases) lease.Retire();
    answered = nobodys.ok() ? 0 : answered + 1;
    if (answered == kAnswered) {
      return absl::ResourceExhaustedError(
          absl::StrCat(kAnswered, " addresses in a row are other stations', ",
                       "or one answers for all; ", Message(nobodys)));
    }
  }
  return absl::UnavailableError(
      absl::StrCat("no address after ", kAttempts,
                   " attempts, try again: ", Message(result.status())));
}

absl::StatusOr<PodAddresses> PoolNetwork::AttachWith(
    const AttachRequest& request, const std::vector<IpLease>& leases) {
  PodLinkSpec spec = kind_->PodLinkFor(*parent_, leases.front().address());
  spec.node_mac = node_mac_;
  spec.node_aliases = node_aliases_;
  spec.egress_bits_per_second = request.egress_bits_per_second;
  spec.ingress_bits_per_second = request.ingress_bits_per_second;
  if (request.ingress_bits_per_second != 0 && !kind_->HasPorts()) {
    Log(LogLevel::kWarning, "what a pod is sent cannot be limited in this mode",
        {{"pod", request.pod_id}});
  }
  std::vector<PodAddress> pod_addresses;
  std::vector<IpAddress> addresses;
  for (size_t i = 0; i < leases.size(); ++i) {
    addresses.push_back(leases[i].address());
    pod_addresses.push_back({&spaces_[i].plan, addresses.back()});
  }
  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  // The time since the last phase's end; only what went well is counted.
  Stopwatch stopwatch;
  const auto phase_ends = [&stopwatch](metrics::Histogram& phase) {
    phase.Observe(stopwatch.Seconds());
    stopwatch = Stopwatch();
  };
  const NetworkMetrics::Phases& phases = metrics_.phase_seconds;
  PodLink link;
  {
    absl::MutexLock host_lock(&host_mutex_);
    if (kind_->HasPorts()) {
      PINION_RETURN_IF_ERROR(
          ports_.Set(*netfilter_, request.pod_id, addresses));
    }
    PINION_ASSIGN_OR_RETURN(link,
                            CreatePodLink(host_, pod, request.netns_fd, spec));
  }
  phase_ends(phases.link);
  PINION_RETURN_IF_ERROR(ConfigurePodLink(pod, spec, link, pod_addresses));
  phase_ends(phases.configure);
  // Last: no way leads to an address that another pod may still get.
  if (!request.host_ports.empty()) {
    const absl::Status opened = OpenHostPorts(request.pod_id, addresses);
    if (!opened.ok()) {
      // The namespace stays, and the address is given back.
      if (link.fresh) DeletePodLink(pod, spec, link);
      return opened;
    }
    phase_ends(phases.host_ports);
  }

  if (kind_->HasNeighbours()) {
    announcer_->Announce(parent_->index, spec.mac, addresses);
    phase_ends(phases.announce);
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

absl::Status PoolNetwork::Detach(const std::string& pod_id) {
  PINION_ASSIGN_OR_RETURN_AS(const Owner owner, Owner::FromId(pod_id),
                             "detach");
  absl::ReaderMutexLock lock(&mutex_);
  // First the way to the address, then the address.
  // It stays taken while a way may lead to it.
  PINION_RETURN_IF_ERROR(CloseHostPorts(pod_id));
  ResetPort(pod_id, {});
  for (const AddressSpace& space : spaces_) space.pool->Release(owner);
  Forget(pod_id);
  return absl::OkStatus();
}

absl::Status PoolNetwork::SetPodCidr(const std::string& pod_cidr) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<ipam::IpPrefix> prefixes,
                             ipam::ParsePrefixPerFamily(pod_cidr), "pod CIDR");
  if (prefixes.empty()) return absl::OkStatus();
  std::vector<IpRange> ranges(prefixes.begin(), prefixes.end());
  std::vector<std::string> names;
  for (const IpRange& range : ranges) names.push_back(range.name());
  const std::string wanted = absl::StrJoin(names, ",");

  absl::MutexLock lock(&mutex_);
  {
    absl::MutexLock host_lock(&host_mutex_);
    PINION_RETURN_IF_ERROR_AS(
        kind_->Plan(host_, parent_ ? &*parent_ : nullptr, ranges, {}).status(),
        "pod CIDR");
  }
  if (!options_.range.empty()) {
    Log(LogLevel::kInfo, "network.range is configured; PodCIDR left aside",
        {{"range", options_.range}, {"pod_cidr", wanted}});
    return absl::OkStatus();
  }
  if (wanted == range_) return absl::OkStatus();
  if (const uint64_t in_use = AddressesInUse(); in_use != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the pod CIDR cannot change from ", range_, " to ", wanted,
                     " while ", in_use, " addresses are in use"));
  }
  PINION_RETURN_IF_ERROR(RememberPodCidr(options_, wanted));
  range_ = wanted;
  spaces_.clear();
  metrics_.SetPools({});
  Refresh();
  return absl::OkStatus();
}

}  // namespace pinion::network
