#include "network/factory.h"

#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "network/addressing.h"
#include "network/bridge_kind.h"
#include "network/cni/cni_network.h"
#include "network/host_ports.h"
#include "network/mode_choice.h"
#include "network/modes.h"
#include "network/none_network.h"
#include "network/parent.h"
#include "network/pod_cidr_file.h"
#include "network/pool_network.h"
#include "network/secondary/plan.h"
#include "network/secondary/secondary_networks.h"
#include "network/source_guard.h"
#include "network/source_nat.h"
#include "os/file.h"

namespace pinion::network {

namespace {

// Only mode "cni" gives back what plugins hold.
void WarnOfAttachments(const Options& options) {
  const auto left = os::ListDirAt(AT_FDCWD, options.cni_state_dir);
  if (!left.ok() || left->empty()) return;
  Log(LogLevel::kWarning,
      "CNI plugins still hold what pods had: run once with network.mode = "
      "\"cni\", or remove the files when the plugins are gone",
      {{"directory", options.cni_state_dir}, {"pods", left->size()}});
}

// What the kubelet told an earlier daemon. It is the kubelet's to tell another
// one where this daemon's configuration has taken some of it.
std::string PodCidrApartFrom(const std::vector<std::string>& taken,
                             const Options& options) {
  const std::string remembered = RememberedPodCidr(options);
  for (const std::string& range : taken) {
    if (remembered.empty()) break;
    const absl::Status apart = CheckApart(remembered, range);
    if (apart.ok()) continue;
    Log(LogLevel::kWarning, "the node's PodCIDR is left aside",
        {{"pod_cidr", remembered}, {"error", apart.ToString()}});
    return "";
  }
  return remembered;
}

absl::StatusOr<std::unique_ptr<PodNetwork>> NewNetworkOfMode(
    const Options& options, const std::string& pod_cidr,
    metrics::Registry& registry) {
  if (options.mode == Options::Mode::kNone) {
    return std::make_unique<NoneNetwork>();
  }
  if (options.mode == Options::Mode::kCni) {
    return cni::CniNetwork::Create(options);
  }
  return PoolNetwork::Create(options, pod_cidr, registry);
}

absl::Status RemoveDevicesOfMode(os::NetlinkSocket& socket,
                                 const Options& options) {
  const std::string& name = NodeLinkName(options);
  const bool bridge = options.mode == Options::Mode::kBridge;
  PINION_RETURN_IF_ERROR(bridge ? RemoveBridge(socket, name)
                                : RemoveOwnLink(socket, name));
  // Where there is no nf_tables, there is no table.
  absl::StatusOr<os::NetlinkSocket> netfilter =
      os::NetlinkSocket::OpenNetfilter();
  if (netfilter.ok()) {
    PINION_RETURN_IF_ERROR(ReplaceSourceNat(*netfilter, name, {}));
    PINION_RETURN_IF_ERROR(ReplaceHostPorts(*netfilter, name, {}, {}));
    if (bridge) PINION_RETURN_IF_ERROR(RemoveSourceGuard(*netfilter, name));
  }
  if (bridge || options.parent != kAutoParent) return absl::OkStatus();
  // A veth's other end goes with it.
  return RemoveOwnLink(socket, AutoParentName(options.host_link_name));
}

// The one that makes pods' first interface, in whichever mode.
absl::StatusOr<std::unique_ptr<PodNetwork>> NewFirstNetwork(
    const Options& options, metrics::Registry& registry) {
  std::vector<std::string> taken = RangesBesidePodCidr(options);
  const std::string pod_cidr = PodCidrApartFrom(taken, options);
  std::vector<ModeChoice::Mode> modes;
  for (const Options::Mode mode : EnabledModes(options)) {
    PINION_ASSIGN_OR_RETURN(
        std::unique_ptr<PodNetwork> network,
        NewNetworkOfMode(OptionsFor(options, mode), pod_cidr, registry));
    modes.push_back({ModeText(mode), std::move(network)});
  }
  if (!IsEnabled(options, Options::Mode::kCni)) WarnOfAttachments(options);
  return std::make_unique<ModeChoice>(std::move(modes), std::move(taken));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PodNetwork>> NewPodNetwork(
    const Options& options, metrics::Registry& registry) {
  PINION_RETURN_IF_ERROR(CheckModes(options));
  PINION_RETURN_IF_ERROR(CheckSecondaryOptions(options));
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<PodNetwork> first,
                          NewFirstNetwork(options, registry));
  return SecondaryNetworks::Create(options, std::move(first), registry);
}

absl::Status RemoveNodeDevices(const Options& options) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket socket, os::NetlinkSocket::Open());
  PINION_RETURN_IF_ERROR(RemoveVlans(socket, options));
  for (const Options::Mode mode : EnabledModes(options)) {
    PINION_RETURN_IF_ERROR(
        RemoveDevicesOfMode(socket, OptionsFor(options, mode)));
  }
  return absl::OkStatus();
}

}  // namespace pinion::network
