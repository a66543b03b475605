// A LAN for tests: a switch, two nodes with a piniond each and disjoint ranges
// of one subnet per family, and a third host. Everything in network
// namespaces of the test's own; needs root.
//
//   node 1 (10.9.0.1, fd00:9::1), pods 10.9.1.0/24, fd00:9::1:0/112
//   node 2 (10.9.0.2, fd00:9::2), pods 10.9.2.0/24, fd00:9::2:0/112
//   third  (10.9.0.9, fd00:9::9)
//
// Not thread-safe, but the beds' clients are.

#ifndef PINION_TESTS_INTEGRATION_DAEMON_TWO_NODES_H_
#define PINION_TESTS_INTEGRATION_DAEMON_TWO_NODES_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemon_bed.h"
#include "tests/support/test_host.h"

namespace pinion::testing {

// A pod's network, seen from inside.
struct LanPod {
  std::string id;
  std::vector<std::string> ips;  // one of each family
  std::unique_ptr<testing_support::TestHost> host;
};

class LanNode {
 public:
  LanNode(testing_support::TestHost& lan, int number);
  ~LanNode();
  LanNode(const LanNode&) = delete;
  LanNode& operator=(const LanNode&) = delete;

  // With a TCP port of the node that leads to its port 80, if it is not 0.
  LanPod RunPod(const std::string& name, int host_port = 0);
  // RunPodSandbox alone: as it comes.
  absl::Status TryRunPod(const std::string& name);
  // Of the Status RPC: "" when the network is ready.
  std::string NetworkReason();

  // The NIC and its cable to the switch; anew after RemoveNic.
  void MakeNic();
  void RemoveNic() { host.Shell("ip link delete " + nic); }
  // The IPv6 address comes again behind it, as from whoever configured it: the
  // kernel took it away when the NIC went down.
  void SetNicUp();

  const std::string nic;
  const std::vector<std::string> ips;
  testing_support::TestHost host;
  std::unique_ptr<DaemonBed> bed;

 private:
  testing_support::TestHost& lan_;
};

class TwoNodes {
 public:
  TwoNodes();
  ~TwoNodes();

  // Distinct MACs of the answers that the third host gets when it asks for an
  // address's; it forgets its neighbours first.
  size_t Answers(const std::string& address);

  testing_support::TestHost lan;
  testing_support::TestHost third;
  const std::vector<std::string> third_ips = {"10.9.0.9", "fd00:9::9"};
  std::unique_ptr<LanNode> one;
  std::unique_ptr<LanNode> two;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_INTEGRATION_DAEMON_TWO_NODES_H_
