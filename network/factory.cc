#include "network/factory.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/status_macros.h"
#include "network/addressing.h"
#include "network/cni/cni_network.h"
#include "network/macvlan_network.h"
#include "network/none_network.h"
#include "network/parent.h"
#include "network/service_nat.h"
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

}  // namespace

absl::StatusOr<std::unique_ptr<PodNetwork>> NewPodNetwork(
    const Options& options, metrics::Registry& registry) {
  PINION_RETURN_IF_ERROR(CheckOptions(options));
  if (options.mode != Options::Mode::kCni) WarnOfAttachments(options);
  if (options.mode == Options::Mode::kNone) {
    return std::make_unique<NoneNetwork>();
  }
  if (options.mode == Options::Mode::kCni) {
    return cni::CniNetwork::Create(options);
  }
  return MacvlanNetwork::Create(options, registry);
}

absl::Status RemoveNodeDevices(const Options& options) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket socket, os::NetlinkSocket::Open());
  PINION_RETURN_IF_ERROR(RemoveOwnLink(socket, options.host_link_name));
  // Where there is no nf_tables, there is no table.
  absl::StatusOr<os::NetlinkSocket> netfilter =
      os::NetlinkSocket::OpenNetfilter();
  if (netfilter.ok()) {
    PINION_RETURN_IF_ERROR(
        RemoveServiceNat(*netfilter, options.host_link_name));
  }
  if (options.parent != kAutoParent) return absl::OkStatus();
  // A veth's other end goes with it.
  return RemoveOwnLink(socket, AutoParentName(options.host_link_name));
}

}  // namespace pinion::network
