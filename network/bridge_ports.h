// The ports of pinion's bridge that pods are plugged into, and what pods may
// send there (source_guard.h). A port is named after its pod's first address,
// so the pods' records tell which there must be.
//
// Not thread-safe.

#ifndef PINION_NETWORK_BRIDGE_PORTS_H_
#define PINION_NETWORK_BRIDGE_PORTS_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "network/rtnl.h"
#include "network/source_guard.h"
#include "os/netlink.h"

namespace pinion::network {

class BridgePorts {
 public:
  // A pod's, the first one first.
  using Addresses = std::vector<ipam::IpAddress>;

  explicit BridgePorts(std::string bridge) : bridge_(std::move(bridge)) {}

  // Before the pod's link is made: from then on it may send under these, and
  // no longer under what it was given before.
  absl::Status Set(os::NetlinkSocket& netfilter, const std::string& pod_id,
                   const Addresses& addresses);
  // Success if there is no such pod. After a failure the next Restore does it.
  absl::Status Remove(os::NetlinkSocket& netfilter, const std::string& pod_id);
  // Empty: there is no such pod.
  Addresses Of(const std::string& pod_id) const;
  // Whether one of the pods has the port of this name.
  bool Has(const std::string& port) const;

  // Before that the rules of the last daemon stand.
  void SetPods(const std::map<std::string, Addresses>& pods);
  // The rules anew, and those plugged in again that are in no bridge: theirs
  // was deleted, or somebody has pulled them. One that was moved to another
  // bridge stays there, and one that is gone went with its pod. One that cannot
  // be plugged in is only logged, once.
  absl::Status Restore(os::NetlinkSocket& host, os::NetlinkSocket& netfilter,
                       const Link& bridge);

 private:
  absl::Status WriteGuard(os::NetlinkSocket& netfilter) const;
  absl::Status PlugIn(os::NetlinkSocket& host, const Link& bridge);

  const std::string bridge_;
  std::map<std::string, PodSource> pods_;
  // Pods that could not be plugged in last.
  std::set<std::string> cut_off_;
  bool all_known_ = false;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_BRIDGE_PORTS_H_
