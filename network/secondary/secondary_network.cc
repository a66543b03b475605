#include "network/secondary/secondary_network.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/mac.h"
#include "network/router_advertisements.h"
#include "network/secondary/vlan.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpLease;
using ipam::IpRange;
using ipam::Owner;
using ipam::Pool;

// As of the first network (pool_network.cc).
constexpr int kAttempts = 16;

Readiness NotReady(const std::string& reason, const absl::Status& status) {
  return {false, reason, std::string(status.message())};
}

absl::StatusOr<std::vector<IpAddress>> ParseAddresses(
    const std::vector<std::string>& texts) {
  std::vector<IpAddress> addresses;
  for (const std::string& text : texts) {
    PINION_ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(text));
    for (const IpAddress& other : addresses) {
      if (other.family() != address.family()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("two ", FamilyName(address.family()), " addresses"));
    }
    addresses.push_back(address);
  }
  return addresses;
}

const IpAddress* OfFamily(const std::vector<IpAddress>& addresses,
                          ipam::Family family) {
  for (const IpAddress& address : addresses) {
    if (address.family() == family) return &address;
  }
  return nullptr;
}

// Of an interface without addresses: a hash of the pod's id, which is random,
// and of the interface's place.
MacAddress MacWithoutAddress(const std::string& pod_id, int ordinal) {
  char bytes[16] = {};
  pod_id.copy(bytes, sizeof(bytes));
  bytes[0] = static_cast<char>(bytes[0] + ordinal);
  return MacFor(*IpAddress::FromBytes(bytes, sizeof(bytes)));
}

bool Works(const Link& parent) { return parent.up && parent.carrier; }

bool IsUsable(const IpRange& range, const IpAddress& address) {
  const auto index = range.IndexOf(address);
  return index && range.IsUsable(*index);
}

}  // namespace

SecondaryNetwork::SecondaryNetwork(std::string name, const Options& options,
                                   SecondaryMetrics& metrics)
    : name_(std::move(name)),
      options_(options.secondary.at(name_)),
      host_link_name_(NodeLinkName(options)),
      pools_dir_(SecondaryPoolsDir(options.ipam_dir, name_)),
      cool_down_(options.cool_down),
      metrics_(metrics) {}

absl::StatusOr<std::unique_ptr<SecondaryNetwork>> SecondaryNetwork::Create(
    const std::string& name, const Options& options,
    SecondaryMetrics& metrics) {
  std::unique_ptr<SecondaryNetwork> network(
      new SecondaryNetwork(name, options, metrics));
  PINION_ASSIGN_OR_RETURN(network->routes_, PlanRoutes(network->options_));
  const auto plans = PlanSecondary(name, network->options_, {});
  if (plans.ok()) {
    for (const FamilyPlan& plan : *plans) {
      network->ranges_.push_back(plan.range);
    }
    return network;
  }
  // Its subnet is the parent's, which is not known yet.
  PINION_ASSIGN_OR_RETURN(network->ranges_,
                          ParseRanges(network->options_.range));
  return network;
}

absl::Status SecondaryNetwork::Check(const SecondaryRequest& request) const {
  const std::string where =
      absl::StrCat("network \"", name_, "\" as ", request.interface_name);
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> wanted,
                             ParseAddresses(request.addresses), where);
  for (const IpAddress& address : wanted) {
    if (std::none_of(ranges_.begin(), ranges_.end(), [&](const IpRange& range) {
          return IsUsable(range, address);
        })) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", address.ToString(),
                       " is no address that this node gives out there"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Link> SecondaryNetwork::FindParent(
    os::NetlinkSocket& host) const {
  absl::StatusOr<Link> parent = FindLink(host, options_.parent);
  if (absl::IsNotFound(parent.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("network \"", name_, "\": its parent device ",
                     options_.parent, " does not exist"));
  }
  PINION_RETURN_IF_ERROR(parent.status());
  return parent;
}

bool SecondaryNetwork::IsConcernedBy(const os::NetlinkMessage& message) const {
  const absl::MutexLock lock(&seen_mutex_);
  if (const auto address = ParseAddressChange(message)) {
    // The parent's subnet may be what was missing.
    return !seen_.readiness.ready && address->link_index == seen_.parent_index;
  }
  const std::optional<Link> link = ParseLink(message);
  if (!link) return false;
  if (link->name == options_.parent) {
    return message.type() == RTM_DELLINK || link->index != seen_.parent_index ||
           Works(*link) != seen_.parent_works;
  }
  return link->index == seen_.parent_index;  // It has another name now.
}

void SecondaryNetwork::Refresh(os::NetlinkSocket& host) {
  // An error is in the readiness.
  (void)Look(host);
}

absl::StatusOr<Link> SecondaryNetwork::Look(os::NetlinkSocket& host) {
  absl::StatusOr<Link> parent = FindParent(host);
  Seen now;
  now.readiness = Judge(host, parent);
  if (parent.ok()) {
    now.parent_index = parent->index;
    now.parent_works = Works(*parent);
  }
  const Readiness readiness = now.readiness;
  Readiness before;
  {
    const absl::MutexLock lock(&seen_mutex_);
    before = std::exchange(seen_, std::move(now)).readiness;
  }
  if (readiness.ready != before.ready || readiness.reason != before.reason) {
    metrics_.ShowReady(name_, readiness.ready);
    Log(readiness.ready ? LogLevel::kInfo : LogLevel::kWarning,
        readiness.ready ? "a network for further interfaces is ready"
                        : "a network for further interfaces is not ready",
        {{"network", name_},
         {"reason", readiness.reason},
         {"detail", readiness.message}});
  }
  if (readiness.ready) return parent;
  return absl::FailedPreconditionError(readiness.message);
}

Readiness SecondaryNetwork::Judge(os::NetlinkSocket& host,
                                  const absl::StatusOr<Link>& parent) {
  if (!parent.ok()) return NotReady("ParentMissing", parent.status());
  if (!Works(*parent)) {
    return NotReady("ParentDown", absl::FailedPreconditionError(absl::StrCat(
                                      "network \"", name_, "\": its parent ",
                                      "device ", parent->name, " is down")));
  }
  if (open_) return {true, "", ""};
  const absl::StatusOr<std::vector<FamilyPlan>> plans =
      MakePlans(host, *parent);
  if (!plans.ok()) return NotReady("RangeUnusable", plans.status());
  if (const absl::Status status = OpenPools(*plans); !status.ok()) {
    return NotReady("PoolFailed", status);
  }
  return {true, "", ""};
}

absl::StatusOr<Link> SecondaryNetwork::EnsureDevice(os::NetlinkSocket& host) {
  PINION_ASSIGN_OR_RETURN(const Link parent, Look(host));
  if (options_.vlan == 0) return parent;
  PINION_ASSIGN_OR_RETURN_AS(
      Link device, EnsureVlan(host, host_link_name_, parent, options_.vlan),
      absl::StrCat("network \"", name_, "\""));
  return device;
}

absl::StatusOr<std::vector<FamilyPlan>> SecondaryNetwork::MakePlans(
    os::NetlinkSocket& host, const Link& parent) const {
  std::vector<LinkAddress> parent_addresses;
  if (options_.vlan == 0) {
    PINION_ASSIGN_OR_RETURN(parent_addresses,
                            ListAddresses(host, parent.index));
  }
  return PlanSecondary(name_, options_, parent_addresses);
}

absl::Status SecondaryNetwork::OpenPools(const std::vector<FamilyPlan>& plans) {
  std::vector<AddressSpace> spaces;
  std::vector<std::shared_ptr<const Pool>> pools;
  for (const FamilyPlan& plan : plans) {
    PINION_ASSIGN_OR_RETURN(
        std::shared_ptr<Pool> pool,
        Pool::Open(pools_dir_, plan.range, {.cooldown = cool_down_}));
    pools.push_back(pool);
    // At 0 from the start: an alert sees the first one, too.
    metrics_.ExhaustedOf(name_, plan.range);
    spaces.push_back({.plan = plan, .pool = std::move(pool)});
  }
  spaces_ = std::move(spaces);
  metrics_.SetPools(name_, std::move(pools));
  open_ = true;
  // What can be had is; that does not get better by refusing pods.
  if (const absl::Status status = SettlePools(); !status.ok()) {
    Log(LogLevel::kWarning, "an address of a known pod was not claimed",
        {{"network", name_}, {"error", status.ToString()}});
  }
  return absl::OkStatus();
}

absl::Status SecondaryNetwork::ClaimKnown(const AddressSpace& space,
                                          const KnownPod& pod) {
  PINION_ASSIGN_OR_RETURN(const Owner owner, Owner::FromId(pod.pod_id));
  absl::Status result;
  for (const SecondaryInterface& interface : pod.secondary) {
    if (interface.network != name_) continue;
    for (const std::string& ip : interface.ips) {
      const absl::StatusOr<IpAddress> address = IpAddress::Parse(ip);
      result.Update(address.status());
      // Of an earlier configuration: nobody else gets it now.
      if (!address.ok() || !IsUsable(space.plan.range, *address)) continue;
      result.Update(space.pool->ClaimAddress(owner, *address));
    }
  }
  return result;
}

absl::Status SecondaryNetwork::SettlePools() {
  if (settled_ || !open_) return absl::OkStatus();
  settled_ = true;
  const std::vector<KnownPod> known = std::exchange(known_, {});
  std::set<Owner> owners;
  for (const KnownPod& pod : known) {
    // Of one that cannot be read ClaimKnown tells; the others are settled.
    const absl::StatusOr<Owner> owner = Owner::FromId(pod.pod_id);
    if (owner.ok()) owners.insert(*owner);
  }
  absl::Status result;
  for (const AddressSpace& space : spaces_) {
    const uint64_t freed = space.pool->Sweep(
        [&owners](Owner owner) { return owners.count(owner) != 0; });
    if (freed != 0) {
      Log(LogLevel::kInfo, "freed addresses of pods that are gone",
          {{"network", name_},
           {"pool", space.plan.range.name()},
           {"addresses", freed}});
    }
    for (const KnownPod& pod : known) {
      result.Update(
          Annotate(ClaimKnown(space, pod),
                   absl::StrCat("address of pod ", ShortId(pod.pod_id))));
    }
  }
  return result;
}

absl::Status SecondaryNetwork::Reconcile(os::NetlinkSocket& host,
                                         const std::vector<KnownPod>& pods) {
  known_ = pods;
  settled_ = false;
  if (open_) return SettlePools();
  const absl::StatusOr<Link> parent = FindParent(host);
  // Readiness says so; the pools are settled when it is there.
  if (!parent.ok()) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(const std::vector<FamilyPlan> plans,
                          MakePlans(host, *parent));
  return OpenPools(plans);
}

bool SecondaryNetwork::MayHold(const std::string& pod_id) const {
  if (!settled_) return true;
  const auto owner = Owner::FromId(pod_id);
  if (!owner.ok()) return false;
  return std::any_of(spaces_.begin(), spaces_.end(),
                     [&owner](const AddressSpace& space) {
                       return space.pool->Find(*owner).has_value();
                     });
}

void SecondaryNetwork::Detach(const std::string& pod_id) {
  const auto owner = Owner::FromId(pod_id);
  if (!owner.ok()) return;
  for (const AddressSpace& space : spaces_) space.pool->Release(*owner);
  std::erase_if(known_,
                [&](const KnownPod& pod) { return pod.pod_id == pod_id; });
}

absl::StatusOr<std::vector<IpLease>> SecondaryNetwork::Claim(
    Owner owner, const std::vector<IpAddress>& wanted) {
  std::vector<IpLease> leases;
  for (const AddressSpace& space : spaces_) {
    const IpAddress* const address =
        OfFamily(wanted, space.plan.range.family());
    absl::StatusOr<IpLease> lease =
        address == nullptr ? space.pool->ClaimAnother(owner)
                           : space.pool->LeaseAddress(owner, *address);
    if (absl::IsOutOfRange(lease.status())) {
      return absl::InvalidArgumentError(lease.status().message());
    }
    if (absl::IsResourceExhausted(lease.status())) {
      metrics_.ExhaustedOf(name_, space.plan.range).Increment();
    }
    PINION_RETURN_IF_ERROR(lease.status());
    leases.push_back(*std::move(lease));
  }
  return leases;
}

absl::Status SecondaryNetwork::SetUpLink(
    const AttachRequest& pod, const PodLinkSpec& spec, const PodLink& link,
    const std::vector<PodAddress>& addresses) {
  if (pod.heeds_routers) {
    PINION_RETURN_IF_ERROR(IgnoreRouterAdvertisements(pod.netns_fd, spec.name));
  }
  os::NetlinkSocket inside = os::NetlinkSocket::Borrow(pod.netns_route_socket);
  PINION_RETURN_IF_ERROR(ConfigurePodLink(inside, spec, link, addresses));
  os::NetlinkBatch batch;
  AppendStrictArp(batch, link.index, spec.name);
  for (const SecondaryRoute& route : routes_) {
    AppendRoute(batch,
                {.destination = route.destination,
                 .link_index = link.index,
                 .via = route.via},
                spec.name);
  }
  return inside.Transact(batch);
}

absl::StatusOr<SecondaryAttachment> SecondaryNetwork::AttachWith(
    os::NetlinkSocket& host, const AttachRequest& pod, const Link& device,
    const PodLinkSpec& spec, std::vector<IpLease> leases) {
  SecondaryAttachment made;
  made.interface = {.network = name_,
                    .interface_name = spec.name,
                    .ips = {},
                    .mac = MacToString(spec.mac),
                    .parent = device.name};
  made.parent_index = device.index;
  made.mac = spec.mac;
  made.leases = std::move(leases);
  std::vector<PodAddress> pod_addresses;
  for (size_t i = 0; i < made.leases.size(); ++i) {
    made.addresses.push_back(made.leases[i].address());
    made.interface.ips.push_back(made.addresses.back().ToString());
    pod_addresses.push_back({&spaces_[i].plan, made.addresses.back()});
  }
  os::NetlinkSocket inside = os::NetlinkSocket::Borrow(pod.netns_route_socket);
  absl::StatusOr<PodLink> link =
      CreatePodLink(host, inside, pod.netns_fd, spec);
  absl::Status status = link.status();
  if (status.ok()) {
    made.link = *link;
    status = SetUpLink(pod, spec, made.link, pod_addresses);
    if (!status.ok()) DeleteSecondaryLink(inside, made);
  }
  if (status.ok()) return made;
  // Another pod's link has the MAC, be it one that is on its way out: then
  // its address shall rest, too.
  if (os::NetlinkErrno(status) == EADDRINUSE) {
    for (IpLease& lease : made.leases) lease.Retire();
  }
  return status;
}

absl::StatusOr<SecondaryAttachment> SecondaryNetwork::Attach(
    os::NetlinkSocket& host, const AttachRequest& pod,
    const SecondaryRequest& request, int ordinal,
    const SecondaryInterface* earlier) {
  PINION_ASSIGN_OR_RETURN(const Link device, EnsureDevice(host));
  const std::string where =
      absl::StrCat("network \"", name_, "\" as ", request.interface_name);
  PINION_ASSIGN_OR_RETURN_AS(
      const std::vector<IpAddress> wanted,
      ParseAddresses(earlier == nullptr ? request.addresses : earlier->ips),
      where);
  PINION_ASSIGN_OR_RETURN(const Owner owner, Owner::FromId(pod.pod_id));
  PodLinkSpec spec{.name = request.interface_name,
                   .parent_index = device.index,
                   .mode = options_.macvlan_mode,
                   .ordinal = ordinal};
  // Otherwise the kernel takes the parent's.
  if (options_.mtu < device.mtu) spec.mtu = options_.mtu;
  spec.parent_mtu = device.mtu;
  absl::StatusOr<SecondaryAttachment> made;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    PINION_ASSIGN_OR_RETURN_AS(std::vector<IpLease> leases,
                               Claim(owner, wanted), where);
    spec.mac = leases.empty() ? MacWithoutAddress(pod.pod_id, ordinal)
                              : MacFor(leases.front().address());
    made = AttachWith(host, pod, device, spec, std::move(leases));
    if (os::NetlinkErrno(made.status()) != EADDRINUSE) break;
    // It is the first address that the MAC is made of.
    if (spaces_.empty() ||
        OfFamily(wanted, spaces_.front().plan.range.family()) != nullptr) {
      return absl::UnavailableError(absl::StrCat(
          where, ": ", MacToString(spec.mac), " is still on ", device.name,
          ", of a pod that is going away: try again"));
    }
  }
  if (!made.ok()) return Annotate(made.status(), where);
  return made;
}

void AppendStrictArp(os::NetlinkBatch& batch, int index,
                     const std::string& name) {
  AppendIpv4Setting(batch, index, name, Ipv4Setting::kArpIgnore, 1);
  AppendIpv4Setting(batch, index, name, Ipv4Setting::kArpAnnounce, 2);
}

void DeleteSecondaryLink(os::NetlinkSocket& pod,
                         const SecondaryAttachment& attachment) {
  // Of an earlier Attach, which succeeded: stays as it was.
  if (!attachment.link.fresh) return;
  os::NetlinkBatch batch;
  AppendLinkDeletion(batch, attachment.link.index,
                     attachment.interface.interface_name);
  // Nothing more can be done: it goes with its namespace.
  (void)pod.Transact(batch);
}

std::string SecondaryPoolsDir(const std::string& ipam_dir,
                              const std::string& name) {
  return absl::StrCat(ipam_dir, "/secondary/", name);
}

}  // namespace pinion::network
