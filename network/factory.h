// Makes the pod network that the configuration asks for: the enabled modes, of
// which each pod gets one, and further networks around them.
//
// Thread-safe.

#ifndef PINION_NETWORK_FACTORY_H_
#define PINION_NETWORK_FACTORY_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/metrics.h"
#include "network/options.h"
#include "network/pod_network.h"

namespace pinion::network {

// The network of the calling thread's network namespace, whichever thread
// uses it later. Devices (automatic parent, host link) and pools that exist
// are taken over, so that pods live through a restart of the daemon.
//
// InvalidArgument if the options cannot be used. What may still come, such
// as a parent that is missing or a range that is not known yet, is no error:
// GetReadiness tells it. `registry` must outlive the network.
absl::StatusOr<std::unique_ptr<PodNetwork>> NewPodNetwork(
    const Options& options, metrics::Registry& registry);

// Removes VLAN devices and, of each enabled mode, the host link, its nf_tables
// tables and the automatic parent, or the bridge, from the calling thread's
// network namespace, with them every pod's interface on those. Only devices
// that pinion made are touched; missing ones are success. For uninstalling and
// for tests: destroying a PodNetwork leaves everything.
absl::Status RemoveNodeDevices(const Options& options);

}  // namespace pinion::network

#endif  // PINION_NETWORK_FACTORY_H_
