// The pod networks whose addresses are pinion's own: pools, readiness, host
// ports and recovery. What a mode does of its own is its LinkKind's.
//
// Thread-safe. Attaches and detaches share a lock that only a change of range
// or devices takes exclusively, and that nobody holds while the neighbours are
// asked; GetReadiness takes none. Link changes are
// followed on a thread of its own.
//
// What belongs to pods (addresses, devices) outlives this object.

#ifndef PINION_NETWORK_POOL_NETWORK_H_
#define PINION_NETWORK_POOL_NETWORK_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "ipam/pool.h"
#include "metrics/metrics.h"
#include "network/addressing.h"
#include "network/announcer.h"
#include "network/bridge_ports.h"
#include "network/duplicate_probe.h"
#include "network/host_ports.h"
#include "network/link_kind.h"
#include "network/network_metrics.h"
#include "network/options.h"
#include "network/pod_network.h"
#include "network/rtnl.h"
#include "network/ruleset_watch.h"
#include "os/netlink.h"
#include "os/reactor.h"

namespace pinion::network {

class PoolNetwork : public PodNetwork {
 public:
  // See NewPodNetwork. `pod_cidr`: the range where the options have none, until
  // SetPodCidr tells; empty: not known yet.
  static absl::StatusOr<std::unique_ptr<PoolNetwork>> Create(
      const Options& options, const std::string& pod_cidr,
      metrics::Registry& registry);
  ~PoolNetwork() override;

  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Detach(const std::string& pod_id) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  Readiness GetReadiness() const override;
  absl::Status SetPodCidr(const std::string& pod_cidr) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Reconcile(const std::vector<KnownPod>& pods) override
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // One family's plan and the pool that serves it.
  struct AddressSpace {
    FamilyPlan plan;
    std::shared_ptr<ipam::Pool> pool;
  };
  // An address of each space, and the parent, as they were at `generation`.
  struct Claim {
    std::vector<std::shared_ptr<ipam::Pool>> pools;
    std::vector<ipam::IpLease> leases;
    Link parent;
    uint64_t generation = 0;
  };

  PoolNetwork(const Options& options, os::NetlinkSocket host,
              metrics::Registry& registry);

  // Parent, range, host link: does what can be done now and says what is
  // missing.
  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Readiness TryRefresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_)
      ABSL_LOCKS_EXCLUDED(host_mutex_);
  // Node link and rules. Where only the link cannot be what it should, pods
  // that run keep their rules.
  Readiness SetUpNode() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  Readiness SetUpNodeLink(const std::vector<FamilyPlan>& plans)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  Readiness SetUpRules(const std::vector<FamilyPlan>& plans)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  uint64_t AddressesInUse() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool IsUnused() ABSL_LOCKS_EXCLUDED(mutex_);
  // FailedPrecondition: the parent has lost the address by which pods know the
  // node.
  absl::StatusOr<std::vector<FamilyPlan>> MakePlans()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  // In the log; nobody else tells what became of them.
  void WarnOfEarlierRange(const KnownPod& pod) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void WarnOfLostLinks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> ParentHas(const ipam::IpAddress& address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  absl::Status CheckNodeAddresses()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  // Opened, and, until the first pod has an address, as the parent's addresses
  // are now: a NIC may get its own after the start.
  Readiness EnsureSpaces() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  // An address of the host link's that the parent has got is the parent's: two
  // links would answer for it.
  void YieldNodeAddresses() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  absl::Status OpenSpaces(const std::vector<FamilyPlan>& plans)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  // Where spaces are open: frees what is nobody's of the known pods, and claims
  // what they have. An error keeps no other address from being claimed.
  absl::Status Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_)
      ABSL_LOCKS_EXCLUDED(known_mutex_);
  // The pod is no known one any more.
  void Forget(const std::string& pod_id) ABSL_SHARED_LOCKS_REQUIRED(mutex_)
      ABSL_LOCKS_EXCLUDED(known_mutex_);
  absl::Status ClaimKnown(ipam::Owner owner, const std::string& ip)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::vector<FamilyPlan> Plans() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Host ports: takes them before anything else is done for the pod, and says
  // which it had; makes them lead to its addresses; gives them back, or all but
  // those from before.
  absl::StatusOr<HostPorts> ReserveHostPorts(const AttachRequest& request)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  absl::Status OpenHostPorts(const std::string& pod_id,
                             const std::vector<ipam::IpAddress>& addresses)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  absl::Status ResetHostPorts(const std::string& pod_id,
                              const HostPorts& before)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  absl::Status CloseHostPorts(const std::string& pod_id)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  absl::Status RestoreHostPorts(const std::vector<KnownPod>& pods)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  // If it fails, the next one that is closed tries again.
  absl::Status ApplyHostPorts() ABSL_SHARED_LOCKS_REQUIRED(mutex_)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(host_mutex_);
  absl::Status WriteHostPorts() ABSL_SHARED_LOCKS_REQUIRED(mutex_)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(host_mutex_);

  // The ports that pods are plugged into, in modes that have some.
  void RestorePorts(const std::vector<KnownPod>& pods)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  // What may be sent by the pod's port; empty: nothing, it has none.
  BridgePorts::Addresses PortOf(const std::string& pod_id)
      ABSL_LOCKS_EXCLUDED(host_mutex_);
  // Makes it so that PortOf says `addresses`.
  void ResetPort(const std::string& pod_id,
                 const BridgePorts::Addresses& addresses)
      ABSL_LOCKS_EXCLUDED(host_mutex_);
  bool IsPodsPort(const std::string& name) ABSL_LOCKS_EXCLUDED(host_mutex_);

  void OnLinkEvents() ABSL_LOCKS_EXCLUDED(mutex_);
  // On the reactor's thread, as OnLinkEvents. Whoever changes so much that some
  // of it is lost mostly goes on.
  void RefreshAfterLoss() ABSL_LOCKS_EXCLUDED(mutex_);

  // Our tables in nf_tables: who else changes them, and all of them anew.
  absl::Status WatchRules() ABSL_LOCKS_EXCLUDED(host_mutex_);
  void WriteRulesAgain() ABSL_LOCKS_EXCLUDED(mutex_, host_mutex_);

  // FailedPrecondition.
  absl::Status CheckReady() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<PodAddresses> AttachOwner(const AttachRequest& request,
                                           ipam::Owner owner)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // With the first addresses that can be had. ResourceExhausted: the
  // neighbours have them. Unavailable: other links still do.
  absl::StatusOr<PodAddresses> AttachAnywhere(const AttachRequest& request,
                                              ipam::Owner owner)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // With these addresses; AddressStillHeld if another link has them.
  absl::StatusOr<PodAddresses> AttachWith(
      const AttachRequest& request, const std::vector<ipam::IpLease>& leases)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Claim> ClaimAll(ipam::Owner owner) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const std::unique_ptr<const LinkKind> kind_;
  NetworkMetrics metrics_;
  os::UniqueFd host_link_name_;

  // Taken after mutex_. Serialises what goes over host_: rtnetlink takes
  // requests one by one anyway.
  absl::Mutex host_mutex_;
  os::NetlinkSocket host_ ABSL_GUARDED_BY(host_mutex_);
  // An error where the kernel has no nf_tables.
  absl::StatusOr<os::NetlinkSocket> netfilter_ ABSL_GUARDED_BY(host_mutex_);

  BridgePorts ports_ ABSL_GUARDED_BY(host_mutex_);
  HostPortTable host_ports_ ABSL_GUARDED_BY(host_mutex_);
  // Of no pod any more, whose flows are still to be ended.
  std::vector<HostPorts> closed_host_ports_ ABSL_GUARDED_BY(host_mutex_);
  // Before that the rules of the last daemon stand.
  bool host_ports_known_ ABSL_GUARDED_BY(host_mutex_) = false;
  // What the kernel has is not what the table says.
  bool host_ports_stale_ ABSL_GUARDED_BY(host_mutex_) = false;
  // Some pod has had one, or the kernel may have some.
  std::atomic<bool> host_ports_used_ = false;

  mutable absl::Mutex mutex_;
  // The range's text, as configured or told; empty: not known yet.
  std::string range_ ABSL_GUARDED_BY(mutex_);
  std::vector<AddressSpace> spaces_ ABSL_GUARDED_BY(mutex_);
  std::optional<Link> parent_ ABSL_GUARDED_BY(mutex_);
  // Another one: other spaces, another parent, or owners were swept.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int node_link_ ABSL_GUARDED_BY(mutex_) = 0;
  // The parent that pods' links were made on last.
  int links_on_ ABSL_GUARDED_BY(mutex_) = 0;
  MacAddress node_mac_ ABSL_GUARDED_BY(mutex_){};
  std::vector<ipam::IpAddress> node_aliases_ ABSL_GUARDED_BY(mutex_);
  // Of MakePlans' warning, which is said once.
  std::set<std::string> new_nodes_told_ ABSL_GUARDED_BY(mutex_);
  // A timer runs that refreshes.
  bool look_again_ ABSL_GUARDED_BY(mutex_) = false;

  // Taken after mutex_.
  absl::Mutex known_mutex_;
  // Of Reconcile, until they are detached; none before it. Whenever spaces are
  // opened, at the start, late or of another range, nobody else has any: with
  // addresses in use there is no other range.
  std::optional<std::vector<KnownPod>> known_ ABSL_GUARDED_BY(known_mutex_);

  // Never null.
  std::atomic<std::shared_ptr<const Readiness>> readiness_;

  std::optional<os::NetlinkSocket> events_;
  // Of RefreshAfterLoss.
  bool loss_pending_ = false;
  std::chrono::steady_clock::time_point next_after_loss_{};
  // Null: there are no rules.
  std::unique_ptr<RulesetWatch> rules_;
  std::unique_ptr<Announcer> announcer_;
  // Null: nobody is asked.
  std::unique_ptr<DuplicateProbe> probe_;
  // Destroyed first: no callback runs afterwards.
  std::unique_ptr<os::Reactor> reactor_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_POOL_NETWORK_H_
