// One network for further interfaces of pods: its parent, its addresses, and
// the making of one interface on it.
//
// Check, GetReadiness and IsConcernedBy are thread-safe and wait for no attach;
// everything else is for one thread at a time, with a socket of the host's
// namespace.
//
// What belongs to pods outlives this object.

#ifndef PINION_NETWORK_SECONDARY_SECONDARY_NETWORK_H_
#define PINION_NETWORK_SECONDARY_SECONDARY_NETWORK_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "ipam/pool.h"
#include "network/addressing.h"
#include "network/options.h"
#include "network/pod_link.h"
#include "network/pod_network.h"
#include "network/secondary/plan.h"
#include "network/secondary/secondary_metrics.h"

namespace pinion::network {

// An interface that is there. Its addresses go back to their pools unless the
// leases are committed; the link stays until DeleteSecondaryLink or the end of
// its namespace.
struct SecondaryAttachment {
  SecondaryInterface interface;
  PodLink link;
  std::vector<ipam::IpLease> leases;
  // For announcements.
  int parent_index = 0;
  MacAddress mac{};
  std::vector<ipam::IpAddress> addresses;
};

class SecondaryNetwork {
 public:
  // `options` have a network of this name, and were checked. `metrics` must
  // outlive it.
  static absl::StatusOr<std::unique_ptr<SecondaryNetwork>> Create(
      const std::string& name, const Options& options,
      SecondaryMetrics& metrics);

  const std::string& name() const { return name_; }
  const SecondaryOptions& options() const { return options_; }

  // InvalidArgument if the addresses asked for are not the network's.
  absl::Status Check(const SecondaryRequest& request) const;

  // Whether a pod could have an interface, as it was seen last: by Refresh or
  // an Attach.
  Readiness GetReadiness() const ABSL_LOCKS_EXCLUDED(seen_mutex_) {
    const absl::MutexLock lock(&seen_mutex_);
    return seen_.readiness;
  }

  // Whether a message of RTMGRP_LINK or the IFADDR groups may have changed
  // that.
  bool IsConcernedBy(const os::NetlinkMessage& message) const
      ABSL_LOCKS_EXCLUDED(seen_mutex_);

  // Looks at the parent; opens the pools if it is there. What changes for
  // pods is logged.
  void Refresh(os::NetlinkSocket& host);

  // Makes the pod's interface number `ordinal` (from 1). `earlier` is what an
  // earlier Attach of the pod gave this interface, or null. On failure no
  // link is left and no address claimed; a VLAN device may be left that
  // nobody uses.
  absl::StatusOr<SecondaryAttachment> Attach(os::NetlinkSocket& host,
                                             const AttachRequest& pod,
                                             const SecondaryRequest& request,
                                             int ordinal,
                                             const SecondaryInterface* earlier);

  // Frees the pod's addresses.
  void Detach(const std::string& pod_id);

  // Whether the pod may have addresses of the network; true of any while that
  // cannot be told.
  bool MayHold(const std::string& pod_id) const;

  // At start: claims what the pods are known to have, frees what belongs to
  // nobody of them; when the parent is there, if it is not yet.
  absl::Status Reconcile(os::NetlinkSocket& host,
                         const std::vector<KnownPod>& pods);

 private:
  // What was found when it was looked at last.
  struct Seen {
    Readiness readiness;
    int parent_index = 0;
    bool parent_works = false;
  };
  struct AddressSpace {
    FamilyPlan plan;
    std::shared_ptr<ipam::Pool> pool;
  };

  SecondaryNetwork(std::string name, const Options& options,
                   SecondaryMetrics& metrics);

  absl::StatusOr<Link> FindParent(os::NetlinkSocket& host) const;
  // The parent as it is now, what was seen besides; FailedPrecondition unless
  // it is ready.
  absl::StatusOr<Link> Look(os::NetlinkSocket& host)
      ABSL_LOCKS_EXCLUDED(seen_mutex_);
  Readiness Judge(os::NetlinkSocket& host, const absl::StatusOr<Link>& parent);
  // The parent, or its VLAN.
  absl::StatusOr<Link> EnsureDevice(os::NetlinkSocket& host);
  absl::StatusOr<std::vector<FamilyPlan>> MakePlans(os::NetlinkSocket& host,
                                                    const Link& parent) const;
  absl::Status OpenPools(const std::vector<FamilyPlan>& plans);
  // Of what was reconciled before the pools were open. An error keeps no other
  // address from being claimed, and will be the same the next time.
  absl::Status SettlePools();
  absl::Status ClaimKnown(const AddressSpace& space, const KnownPod& pod);
  absl::StatusOr<std::vector<ipam::IpLease>> Claim(
      ipam::Owner owner, const std::vector<ipam::IpAddress>& wanted);
  absl::StatusOr<SecondaryAttachment> AttachWith(
      os::NetlinkSocket& host, const AttachRequest& pod, const Link& device,
      const PodLinkSpec& spec, std::vector<ipam::IpLease> leases);
  // All but its making; what fails leaves the link.
  absl::Status SetUpLink(const AttachRequest& pod, const PodLinkSpec& spec,
                         const PodLink& link,
                         const std::vector<PodAddress>& addresses);

  const std::string name_;
  const SecondaryOptions options_;
  const std::string host_link_name_;
  const std::string pools_dir_;
  const std::chrono::milliseconds cool_down_;
  SecondaryMetrics& metrics_;
  std::vector<SecondaryRoute> routes_;
  // What Check goes by: without what no pod may have, as far as that is known
  // before the parent is.
  std::vector<ipam::IpRange> ranges_;
  bool open_ = false;
  std::vector<AddressSpace> spaces_;
  // Reconciled before the pools could be opened: until they are.
  bool settled_ = true;
  std::vector<KnownPod> known_;

  // Held for a copy only.
  mutable absl::Mutex seen_mutex_;
  Seen seen_ ABSL_GUARDED_BY(seen_mutex_);
};

// ARP on a link is for the link's own addresses only. As the kernel has it, a
// host answers on each of its networks for what it has on any: with the same
// range in two VLANs a pod in both would take others' addresses there.
void AppendStrictArp(os::NetlinkBatch& batch, int index,
                     const std::string& name);

// Makes an attachment's link undone. Only for a pod that fails: otherwise
// links go with their namespaces.
void DeleteSecondaryLink(os::NetlinkSocket& pod,
                         const SecondaryAttachment& attachment);

// Where the pools of a network are: <ipam>/secondary/<name>.
std::string SecondaryPoolsDir(const std::string& ipam_dir,
                              const std::string& name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_SECONDARY_NETWORK_H_
