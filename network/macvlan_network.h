// network.mode = "macvlan": every pod has an interface of its own on the
// node's parent device, in the same L2 network as the node's neighbours.
//
// Thread-safe. Attaches and detaches share a lock that only a change of range
// or devices takes exclusively; GetReadiness takes none. Link changes are
// followed on a thread of its own.
//
// What belongs to pods (addresses, devices) outlives this object.

#ifndef PINION_NETWORK_MACVLAN_NETWORK_H_
#define PINION_NETWORK_MACVLAN_NETWORK_H_

#include <atomic>
#include <memory>
#include <optional>
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
#include "network/host_ports.h"
#include "network/network_metrics.h"
#include "network/options.h"
#include "network/pod_network.h"
#include "network/rtnl.h"
#include "os/netlink.h"
#include "os/reactor.h"

namespace pinion::network {

class MacvlanNetwork : public PodNetwork {
 public:
  // See NewPodNetwork.
  static absl::StatusOr<std::unique_ptr<MacvlanNetwork>> Create(
      const Options& options, metrics::Registry& registry);
  ~MacvlanNetwork() override;

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

  MacvlanNetwork(const Options& options, os::NetlinkSocket host,
                 metrics::Registry& registry);

  // Parent, range, host link: does what can be done now and says what is
  // missing.
  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Readiness TryRefresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_)
      ABSL_LOCKS_EXCLUDED(host_mutex_);
  // Host link and service rules.
  Readiness SetUpNode() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  absl::Status OpenSpaces() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, host_mutex_);
  absl::Status ClaimKnown(const std::vector<KnownPod>& pods)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::vector<FamilyPlan> Plans() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Host ports: takes them before anything else is done for the pod; makes
  // them lead to its addresses; gives them back.
  absl::Status ReserveHostPorts(const AttachRequest& request)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_) ABSL_LOCKS_EXCLUDED(host_mutex_);
  absl::Status OpenHostPorts(const std::string& pod_id,
                             const std::vector<ipam::IpAddress>& addresses)
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
  static void WarnWithoutForwarding();

  void OnLinkEvents() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::StatusOr<PodAddresses> AttachLocked(const AttachRequest& request,
                                            ipam::Owner owner)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<PodAddresses> AttachAnywhere(const AttachRequest& request,
                                              ipam::Owner owner)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // With these addresses; EADDRINUSE (os::NetlinkErrno) if the parent has a
  // link with such a MAC.
  absl::StatusOr<PodAddresses> AttachWith(
      const AttachRequest& request, const std::vector<ipam::IpLease>& leases)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<ipam::IpLease>> ClaimAll(ipam::Owner owner)
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // The PodCIDR outlives a restart of the daemon: the kubelet tells it once.
  absl::Status RememberPodCidr(const std::string& pod_cidr) const;
  std::string RememberedPodCidr() const;

  const Options options_;
  NetworkMetrics metrics_;
  os::UniqueFd host_link_name_;

  // Taken after mutex_. Serialises what goes over host_: rtnetlink takes
  // requests one by one anyway.
  absl::Mutex host_mutex_;
  os::NetlinkSocket host_ ABSL_GUARDED_BY(host_mutex_);
  // An error where the kernel has no nf_tables.
  absl::StatusOr<os::NetlinkSocket> netfilter_ ABSL_GUARDED_BY(host_mutex_);

  HostPortTable host_ports_ ABSL_GUARDED_BY(host_mutex_);
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
  MacAddress node_mac_ ABSL_GUARDED_BY(mutex_){};
  // Reconciled before the range was known: claimed when it is.
  std::vector<KnownPod> unclaimed_ ABSL_GUARDED_BY(mutex_);

  // Never null.
  std::atomic<std::shared_ptr<const Readiness>> readiness_;

  std::optional<os::NetlinkSocket> events_;
  std::unique_ptr<Announcer> announcer_;
  // Destroyed first: no callback runs afterwards.
  std::unique_ptr<os::Reactor> reactor_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_MACVLAN_NETWORK_H_
