// What a pod network is made of; the daemon's [network] table fills it in.
//
// Where two families are possible, a text may hold one entry of each,
// comma-separated: "10.1.2.0/24,fd00:1:2::/64".

#ifndef PINION_NETWORK_OPTIONS_H_
#define PINION_NETWORK_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "network/rtnl.h"
#include "network/secondary/options.h"

namespace pinion::network {

inline constexpr char kAutoParent[] = "auto";

struct Options {
  enum class Mode {
    kMacvlan,
    // As macvlan, but all of a node's pods share the parent's MAC.
    kIpvlan,
    // A bridge of pinion's own, and masquerade of what leaves it.
    kBridge,
    // Pods have loopback and no address.
    kNone,
    // The plugins of the CNI specification that the node has.
    kCni,
  };

  Mode mode = Mode::kMacvlan;

  // network.modes: further ones, which pods may ask for.
  std::vector<Mode> modes;

  // network.ipvlan_mode.
  IpvlanMode ipvlan_mode = IpvlanMode::kL2;

  // network.parent: the device that pods' interfaces stand on. "auto": one of
  // pinion's own, which touches no real NIC.
  std::string parent = kAutoParent;

  // network.range: this node's own addresses, a CIDR or "first-last". Empty:
  // what the kubelet tells by UpdateRuntimeConfig (PodCIDR), which is
  // otherwise checked and left aside.
  std::string range;

  // network.subnet: the prefix that all nodes share. Empty: the parent's
  // subnet if the range lies in it, otherwise the range.
  std::string subnet;

  // network.gateway: pods' default gateway. Empty: the node itself.
  std::string gateway;

  // network.exclude: addresses, CIDRs or "first-last" that no pod gets.
  // Network, broadcast, gateway and node address are left out anyway.
  std::vector<std::string> exclude;

  // network.node_address: how pods reach this node. Empty: the parent's
  // address; if it has none, and always in mode "ipvlan", the range's first
  // usable address, which then belongs to the host link.
  std::string node_address;

  // network.service_cidr: ClusterIPs, routed through the node. Empty: no such
  // route.
  std::string service_cidr;

  // network.mtu: of pods, at most the parent's. 0: the parent's.
  uint32_t mtu = 0;

  // network.cool_down: how long a released address stays unused.
  std::chrono::milliseconds cool_down = std::chrono::seconds(60);

  // network.duplicate_probe: ask the neighbours before an address' first use.
  bool duplicate_probe = false;

  // The host's own link, by which the node and its pods reach each other.
  // Without it a gateway must be configured, and probes cannot work.
  bool host_link = true;

  // network.host_link_name: at most 15 bytes. The automatic parent's name is
  // derived from it (AutoParentName), so daemons side by side need only this.
  std::string host_link_name = "pinion-host";

  // network.bridge_name: mode "bridge"'s device; at most 15 bytes.
  std::string bridge_name = "pinion0";

  // network.bridge_range: `range` for mode "bridge" where it has one of its
  // own: beside macvlan (network/modes.h).
  std::string bridge_range;

  // network.no_masquerade: prefixes of either family that pods of mode
  // "bridge" reach under their own addresses, as those of other nodes to which
  // routes lead.
  std::vector<std::string> no_masquerade;

  // In the pod.
  std::string interface_name = "eth0";

  // network.cni_conf_dir, cni_bin_dirs, cni_timeout: where mode "cni" finds the
  // network's configuration and the plugins, and how long one may take.
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::chrono::milliseconds cni_timeout = std::chrono::seconds(60);

  // What mode "cni" must know until DEL: <root>/cni.
  std::string cni_state_dir = "/var/lib/pinion/cni";

  // network.secondary: in every mode.
  SecondaryNetworksOptions secondary;

  // The pools' directory, on tmpfs: <state>/ipam.
  std::string ipam_dir = "/run/pinion/ipam";
};

// The device by which the node reaches its pods: the bridge, or the host link.
// Pinion's nf_tables tables are named after it.
const std::string& NodeLinkName(const Options& options);

// The automatic parent of this host link, and its silent other end where the
// parent is one end of a veth pair: "pinion-host-p", "pinion-host-q".
std::string AutoParentName(const std::string& host_link_name);
std::string AutoParentPeerName(const std::string& host_link_name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_OPTIONS_H_
