// The modes that a node has enabled, one of which each pod gets: the one it
// asks for, or network.mode.
//
// Where a pod is need not be remembered: to detach one that a network does not
// know is success, and no two networks have an address in common.
//
// Thread-safe. Only pods with host ports, and the ends of all, take its lock,
// and briefly.

#ifndef PINION_NETWORK_MODE_CHOICE_H_
#define PINION_NETWORK_MODE_CHOICE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "network/host_ports.h"
#include "network/pod_network.h"

namespace pinion::network {

class ModeChoice final : public PodNetwork {
 public:
  struct Mode {
    std::string name;
    std::unique_ptr<PodNetwork> network;
  };

  // The first is the one of pods that ask for none. `taken`: the ranges that
  // the PodCIDR must leave alone (RangesBesidePodCidr).
  ModeChoice(std::vector<Mode> modes, std::vector<std::string> taken)
      : modes_(std::move(modes)), taken_(std::move(taken)) {}

  // AlreadyExists also for a host port that leads to a pod of another mode.
  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) override
      ABSL_LOCKS_EXCLUDED(ports_mutex_);
  absl::Status Detach(const std::string& pod_id) override
      ABSL_LOCKS_EXCLUDED(ports_mutex_);
  // InvalidArgument names the modes that there are.
  absl::Status CheckMode(const std::string& mode) const override;
  bool HeedsRouters(const std::string& mode) const override;
  // Of the first: one that few pods ask for takes no node away from the rest.
  Readiness GetReadiness() const override;
  // For the first; the others have ranges of their own.
  absl::Status SetPodCidr(const std::string& pod_cidr) override;
  absl::Status Reconcile(const std::vector<KnownPod>& pods) override
      ABSL_LOCKS_EXCLUDED(ports_mutex_);

 private:
  // Null: not enabled.
  PodNetwork* Find(const std::string& mode) const;
  absl::Status ReserveHostPorts(const AttachRequest& request)
      ABSL_LOCKS_EXCLUDED(ports_mutex_);
  void ReleaseHostPorts(const std::string& pod_id)
      ABSL_LOCKS_EXCLUDED(ports_mutex_);

  const std::vector<Mode> modes_;
  const std::vector<std::string> taken_;

  // The node's ports are one lot for all modes, and each network knows its own
  // pods' only. Without addresses; empty where there is one mode.
  absl::Mutex ports_mutex_;
  HostPortTable ports_ ABSL_GUARDED_BY(ports_mutex_);
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_MODE_CHOICE_H_
