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

namespace pinion::network {

inline constexpr char kAutoParent[] = "auto";

struct Options {
  enum class Mode {
    kMacvlan,
    // Pods have loopback and no address.
    kNone,
    // The plugins of the CNI specification that the node has.
    kCni,
  };

  Mode mode = Mode::kMacvlan;

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
  // address; if it has none, the range's first usable address, which then
  // belongs to the host link.
  std::string node_address;

  // network.service_cidr: ClusterIPs, routed through the node. Empty: no such
  // route.
  std::string service_cidr;

  // network.mtu: of pods, at most the parent's. 0: the parent's.
  uint32_t mtu = 0;

  // network.cool_down: how long a released address stays unused.
  std::chrono::milliseconds cool_down = std::chrono::seconds(60);

  // The host's own macvlan, by which the node and its pods reach each other.
  // Without it a gateway must be configured, and probes cannot work.
  bool host_link = true;

  // network.host_link_name: at most 15 bytes. The automatic parent's name is
  // derived from it (AutoParentName), so daemons side by side need only this.
  std::string host_link_name = "pinion-host";

  // In the pod.
  std::string interface_name = "eth0";

  // network.cni_conf_dir, cni_bin_dirs, cni_timeout: where mode "cni" finds the
  // network's configuration and the plugins, and how long one may take.
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::chrono::milliseconds cni_timeout = std::chrono::seconds(60);

  // What mode "cni" must know until DEL: <root>/cni.
  std::string cni_state_dir = "/var/lib/pinion/cni";

  // The pools' directory, on tmpfs: <state>/ipam.
  std::string ipam_dir = "/run/pinion/ipam";
};

// The automatic parent of this host link, and its silent other end where the
// parent is one end of a veth pair: "pinion-host-p", "pinion-host-q".
std::string AutoParentName(const std::string& host_link_name);
std::string AutoParentPeerName(const std::string& host_link_name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_OPTIONS_H_
