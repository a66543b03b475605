// A pod network with further interfaces: what pods ask for besides is made
// first, then the network underneath does what it does, in whichever mode.
// That way a failure on either side leaves nothing.
//
// Thread-safe. One lock for all further interfaces: the kernel makes links one
// by one anyway. Pods that have none do not take it, nor do GetSecondary and
// the metrics: they show what was seen last, by an attach or when a link event
// said that a parent has changed.

#ifndef PINION_NETWORK_SECONDARY_SECONDARY_NETWORKS_H_
#define PINION_NETWORK_SECONDARY_SECONDARY_NETWORKS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "metrics/metrics.h"
#include "network/announcer.h"
#include "network/options.h"
#include "network/pod_network.h"
#include "network/secondary/secondary_metrics.h"
#include "network/secondary/secondary_network.h"
#include "os/netlink.h"
#include "os/reactor.h"

namespace pinion::network {

class SecondaryNetworks : public PodNetwork {
 public:
  // For the calling thread's network namespace. `registry` must outlive it.
  static absl::StatusOr<std::unique_ptr<SecondaryNetworks>> Create(
      const Options& options, std::unique_ptr<PodNetwork> first,
      metrics::Registry& registry);

  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Detach(const std::string& pod_id) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  Readiness GetReadiness() const override { return first_->GetReadiness(); }
  absl::Status CheckMode(const std::string& mode) const override {
    return first_->CheckMode(mode);
  }
  bool HeedsRouters(const std::string& mode) const override {
    return first_->HeedsRouters(mode);
  }
  absl::Status CheckSecondary(
      const std::vector<SecondaryRequest>& requests) const override;
  std::vector<SecondaryState> GetSecondary() const override;
  absl::Status SetPodCidr(const std::string& pod_cidr) override {
    return first_->SetPodCidr(pod_cidr);
  }
  absl::Status Reconcile(const std::vector<KnownPod>& pods) override
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Attachments = std::vector<SecondaryAttachment>;

  SecondaryNetworks(const Options& options, std::unique_ptr<PodNetwork> first,
                    os::NetlinkSocket host, metrics::Registry& registry);

  // AppendStrictArp for the first interface, of whichever mode.
  static void ConfineArp(const AttachRequest& request, const std::string& name);
  absl::Status NoSuchNetwork(const std::string& name) const;
  // All of them or none.
  absl::StatusOr<Attachments> AttachFurther(const AttachRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Undo(const AttachRequest& request, Attachments made)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void UndoLocked(const AttachRequest& request, Attachments made)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DetachFurther(const std::string& pod_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Removes the daemon's VLAN devices that no pod's interface stands on. If
  // that fails, the next one tries again: no reason to fail a pod.
  void RemoveUnusedVlans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TryRemoveUnusedVlans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnLinkEvents() ABSL_LOCKS_EXCLUDED(mutex_);
  void Refresh() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::unique_ptr<PodNetwork> first_;
  const std::string first_interface_;
  const std::string host_link_name_;

  absl::Mutex mutex_;
  os::NetlinkSocket host_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<SecondaryMetrics> metrics_;
  // A timer runs that refreshes.
  bool look_again_ ABSL_GUARDED_BY(mutex_) = false;
  // By name; the map does not change.
  std::map<std::string, std::unique_ptr<SecondaryNetwork>> networks_;

  // Taken after mutex_, and briefly: what pods have, and pods of which it is
  // not known.
  absl::Mutex pods_mutex_;
  std::map<std::string, std::vector<SecondaryInterface>> pods_
      ABSL_GUARDED_BY(pods_mutex_);

  // Without networks there are none. The reactor's thread alone reads events_.
  std::optional<os::NetlinkSocket> events_;
  std::unique_ptr<os::Reactor> reactor_;
  std::unique_ptr<Announcer> announcer_;
};

// Removes the VLAN devices of this host link's daemon from the calling
// thread's network namespace, with them every pod's interface on them.
absl::Status RemoveVlans(os::NetlinkSocket& socket, const Options& options);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_SECONDARY_NETWORKS_H_
