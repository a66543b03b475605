// What one network namespace looks like: devices, routes, neighbours, and the
// settings that stop packets. Read over rtnetlink, nf_tables and /proc; nothing
// is changed.
//
// Thread-safe.

#ifndef PINION_TOOLS_NETNS_VIEW_H_
#define PINION_TOOLS_NETNS_VIEW_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/netlink.h"

namespace pinion::tools {

struct NetAddress {
  std::string address;
  int prefix_length = 0;
  bool duplicate = false;  // IFA_F_DADFAILED: another one has it
  bool tentative = false;
};

struct NetDevice {
  int index = 0;
  std::string name;
  std::string kind;  // "macvlan", "veth", …; empty for a physical device
  // The device below (macvlan), or the other end (veth); 0: none.
  int link_index = 0;
  bool link_elsewhere = false;  // in another namespace
  int bridge_index = 0;         // the bridge it is a port of; 0: none
  uint32_t mtu = 0;
  bool up = false;       // as its administrator wants it
  bool carrier = false;  // and what is below it can carry packets
  bool arp = true;
  std::string mac;
  std::vector<NetAddress> addresses;
  uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

struct NetRoute {
  std::string destination;  // "default" or a prefix
  std::string via;          // empty: on the link
  std::string device;
  std::string source;
  std::string type;  // empty for unicast; "unreachable", "blackhole", …
};

struct NetNeighbour {
  std::string address;
  std::string device;
  std::string mac;    // empty while nobody has answered
  std::string state;  // "REACHABLE", "STALE", "FAILED", "PERMANENT", …
};

// A chain of nf_tables (iptables-nft's included) that packets pass.
struct FilterChain {
  std::string name;  // "ip filter FORWARD"
  std::string hook;  // "input", "forward", "output", …
  bool ipv4 = false;
  bool ipv6 = false;
  bool drops = false;  // its policy: what no rule decides
};

struct NetnsView {
  std::vector<NetDevice> devices;
  std::vector<NetRoute> routes;  // the main table, both families
  std::vector<NetNeighbour> neighbours;
  std::vector<FilterChain> chains;
  bool forwards_ipv4 = false;
  bool forwards_ipv6 = false;
  // IPv4 packets that rp_filter has dropped since the namespace was made.
  uint64_t reverse_path_drops = 0;

  const NetDevice* Find(std::string_view name) const;
  const NetDevice* FindIndex(int index) const;
  const NetDevice* WithAddress(std::string_view address) const;
  const NetNeighbour* Neighbour(std::string_view address) const;
};

// A name of a device, table or chain, with ? for whatever a terminal or a shell
// might take for more: a pod may choose it, and root reads and pastes it.
std::string PlainName(std::string name);

// Runs `work` on a thread that is born in the namespace and ends with it; -1:
// in the caller's own, on the caller's thread.
absl::Status RunInNetns(int netns_fd, const std::function<void()>& work);

absl::StatusOr<NetnsView> ReadNetns(int netns_fd);

// The way the kernel would send to `address`.
struct Way {
  std::string device;
  std::string next_hop;  // the address itself if it is on the link
  std::string source;
};
// In the socket's namespace. An ErrnoStatus: ENETUNREACH without a route.
absl::StatusOr<Way> WayTo(os::NetlinkSocket& socket,
                          const std::string& address);

// TcpExt IPReversePathFilter of /proc/net/netstat; 0 if it is not there.
uint64_t ReversePathDrops(std::string_view netstat);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_NETNS_VIEW_H_
