// network.mode = "cni": pods get their interface from the plugins of
// /opt/cni/bin, as /etc/cni/net.d says. For users of Calico, Cilium, Multus.
//
// ADD, DEL, CHECK, GC, STATUS and VERSION of the CNI specification 0.3.0
// to 1.1.0. A pod's namespace is told as /proc/PID/fd/N of the daemon, which
// holds it open until DEL has succeeded: plugins that undo what they did
// outside (masquerade) ask what is inside.
//
// Thread-safe.

#ifndef PINION_NETWORK_CNI_CNI_NETWORK_H_
#define PINION_NETWORK_CNI_CNI_NETWORK_H_

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "network/cni/attachments.h"
#include "network/cni/plugin.h"
#include "network/cni/plugin_status.h"
#include "network/options.h"
#include "network/pod_network.h"

namespace pinion::network::cni {

class CniNetwork final : public PodNetwork {
 public:
  static absl::StatusOr<std::unique_ptr<CniNetwork>> Create(
      const Options& options);
  // Waits for the plugin that runs in the background.
  ~CniNetwork() override;

  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) override;
  // A plugin that fails keeps the attachment: it is asked again.
  absl::Status Detach(const std::string& pod_id) override;
  // Reads the directory: as soon as an add-on has written its file, it counts.
  // Runs no plugin: what STATUS answered last counts (plugin_status.h).
  Readiness GetReadiness() const override;
  // What the plugins' devices do is the plugins' to say.
  bool HeedsRouters(const std::string& /*mode*/) const override { return true; }
  // What plugins with the capability "ipRanges" are given.
  absl::Status SetPodCidr(const std::string& pod_cidr) override;
  // In the background, where a plugin may take its time: DEL for pods that are
  // gone, GC, and CHECK for those that are there, whose failure is logged.
  absl::Status Reconcile(const std::vector<KnownPod>& pods) override;

 private:
  class PodLock;
  class AddSlot;

  CniNetwork(Options options, AttachmentStore store)
      : options_(std::move(options)),
        store_(std::move(store)),
        plugins_(options_.cni_bin_dirs, {}) {}

  absl::StatusOr<Json> Add(const Attachment& attachment,
                           const std::string& netns) const;
  absl::StatusOr<PodAddresses> AddAndSave(Attachment& attachment,
                                          const std::string& netns) const;
  absl::Status Del(const Attachment& attachment,
                   const std::string& netns) const;
  absl::StatusOr<std::string> Run(const Attachment& attachment,
                                  const Plugin& plugin,
                                  const std::string& command,
                                  const std::string& netns,
                                  const Json& previous,
                                  absl::Duration limit) const;
  absl::Status DetachLocked(const std::string& pod_id);
  CapabilityArgs ArgumentsFor(const AttachRequest& request) const;
  // What does not depend on a pod.
  CapabilityArgs NodeArguments() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The configuration, in the version that everybody speaks.
  absl::StatusOr<NetworkList> LoadSettled() const;
  // Empty if its namespace is not held.
  std::string NetnsPath(const std::string& pod_id) const;
  void HoldKnown(const KnownPod& pod);
  // `attached`: what there was when the daemon started.
  void TidyUp(const std::set<std::string>& known,
              const std::vector<std::string>& attached);
  void Check(const std::string& pod_id);
  void CollectGarbage() ABSL_LOCKS_EXCLUDED(mutex_);
  Json ValidAttachments() const;

  const Options options_;
  const AttachmentStore store_;
  // Asks plugins what they can do; of itself it is thread-safe.
  mutable PluginStatus plugins_;
  mutable absl::Mutex mutex_;
  // ADDs under way, or GC.
  int adds_ ABSL_GUARDED_BY(mutex_) = 0;
  bool collecting_ ABSL_GUARDED_BY(mutex_) = false;
  // Pods with a call under way.
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, os::UniqueFd> namespaces_ ABSL_GUARDED_BY(mutex_);
  Json ip_ranges_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopping_ = false;
  std::thread janitor_;
};

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_CNI_NETWORK_H_
