// SIGKILL while pods get and give back interfaces on VLANs, whose devices are
// pinion's: the only ones of further networks that a crash can leave on the
// host.

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <random>
#include <string>

#include "tests/integration/network/secondary_bed.h"

namespace pinion::network {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What the child tells of a pod, in one write(2).
struct Report {
  char id[kIdLength + 1];
  char parent[16];  // of its interface in VLAN 100
};

// A daemon that gives one pod after the other interfaces on both VLANs and
// takes them back, so that both devices come and go each time, until it is
// killed. It begins in the node's namespace. The first pod stays, if told so.
[[noreturn]] void AttachUntilKilled(const Options& options, bool keep_first,
                                    int reports) {
  const auto registry = metrics::Registry::Create();
  auto network = NewPodNetwork(options, *registry);
  if (!network.ok()) _exit(1);
  for (bool first = true;; first = false) {
    if (unshare(CLONE_NEWNET) != 0) _exit(2);
    const os::UniqueFd netns(
        open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const os::UniqueFd route(
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    AttachRequest request{NewId(), netns.get(), route.get()};
    request.secondary = {{"red", "net1"}};
    if (!first || !keep_first) request.secondary.push_back({"blue", "net2"});
    const auto addresses = (*network)->Attach(request);
    if (!addresses.ok()) _exit(3);
    Report report{};
    request.pod_id.copy(report.id, sizeof(report.id) - 1);
    addresses->secondary[0].parent.copy(report.parent,
                                        sizeof(report.parent) - 1);
    if (write(reports, &report, sizeof(report)) != sizeof(report)) _exit(4);
    if (first && keep_first) continue;
    if (!(*network)->Detach(request.pod_id).ok()) _exit(5);
  }
}

class VlanFaultsTest : public SecondaryBed {
 protected:
  VlanFaultsTest() {
    Network("red") = {.parent = "lan1", .vlan = 100, .range = "10.1.0.0/24"};
    Network("blue") = {.parent = "lan1", .vlan = 200, .range = "10.1.0.0/24"};
  }

  // Kills such a daemon in the middle. What it reported of its first pod;
  // nullopt: it was not at it.
  std::optional<Report> KillOne(bool keep_first, int delay_ms) {
    network_.reset();  // one daemon at a time
    int reports[2];
    EXPECT_EQ(pipe2(reports, O_CLOEXEC), 0);
    pid_t child = -1;
    node_.Run([&] {
      child = fork();
      if (child == 0) AttachUntilKilled(options_, keep_first, reports[1]);
    });
    close(reports[1]);
    const os::UniqueFd from(reports[0]);
    Report first{};
    Report second{};
    // It is at the third pod at the earliest.
    const bool works =
        read(from.get(), &first, sizeof(first)) == sizeof(first) &&
        read(from.get(), &second, sizeof(second)) == sizeof(second);
    poll(nullptr, 0, delay_ms);
    EXPECT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    if (!works || !WIFSIGNALED(status)) return std::nullopt;
    return first;
  }

  int InUse(const std::string& network) {
    return Addresses(network + ":10.1.0.0/24", "in_use");
  }
};

TEST_F(VlanFaultsTest, SigkillLeavesNoDeviceAndNoAddress) {
  constexpr int kWanted = 8;
  std::minstd_rand random(20261122);
  int met = 0;
  for (int round = 0; met < kWanted; ++round) {
    ASSERT_LT(round, 10 * kWanted) << "hardly any kill left a device: " << met;
    ASSERT_TRUE(KillOne(false, static_cast<int>(random() % 40)).has_value());
    if (!Vlans().empty()) ++met;
    // The next daemon knows of no pod.
    ASSERT_TRUE(Start().ok());
    ASSERT_TRUE(network_->Reconcile({}).ok());
    EXPECT_THAT(Vlans(), IsEmpty()) << "round " << round;
    EXPECT_EQ(InUse("red"), 0);
    EXPECT_EQ(InUse("blue"), 0);
    Pod pod;
    ASSERT_TRUE(Attach(pod, {{"red", "net1"}, {"blue", "net2"}}).ok());
    ASSERT_TRUE(network_->Detach(pod.id).ok());
    EXPECT_THAT(Vlans(), IsEmpty());
  }
}

TEST_F(VlanFaultsTest, SigkillTakesNoDeviceFromAPodThatIsKnown) {
  for (int round = 0; round < 4; ++round) {
    const auto kept = KillOne(true, 5 * round);
    ASSERT_TRUE(kept.has_value());
    ASSERT_TRUE(Start().ok());
    const KnownPod known{.pod_id = kept->id,
                         .ips = {},
                         .secondary = {{.network = "red",
                                        .interface_name = "net1",
                                        .ips = {},
                                        .mac = "",
                                        .parent = kept->parent}}};
    ASSERT_TRUE(network_->Reconcile({known}).ok());
    EXPECT_THAT(Vlans(), ElementsAre(kept->parent)) << "round " << round;
    EXPECT_EQ(InUse("red"), 1);
    EXPECT_EQ(InUse("blue"), 0);
    ASSERT_TRUE(network_->Detach(known.pod_id).ok());
    EXPECT_THAT(Vlans(), IsEmpty());
    EXPECT_EQ(InUse("red"), 0);
  }
}

// In its devices' names three digits stand for the daemon.
TEST_F(VlanFaultsTest, ADaemonWithTheSameDigitsKeepsItsDevices) {
  const std::string name = VlanDeviceName(options_.host_link_name, "lan2", 7);
  std::string twin;
  for (int i = 0; twin.empty() || VlanDeviceName(twin, "lan2", 7) != name;
       ++i) {
    twin = "pn" + std::to_string(i);
  }
  const auto make = [this](const std::string& device, int vlan,
                           const std::string& alias) {
    const std::string id = std::to_string(vlan);
    node_.Shell("ip link add " + device + " link lan2 type vlan id " + id +
                " && ip link set " + device + " up alias '" + alias + "'");
  };
  make(name, 7, "made by pinion (" + twin + ")");
  // An earlier version's have no name.
  make(VlanDeviceName(options_.host_link_name, "lan2", 8), 8, "made by pinion");
  Network("theirs") = {.parent = "lan2", .vlan = 7, .range = "10.7.0.0/24"};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({}).ok());
  EXPECT_THAT(Vlans(), ElementsAre(name));
  // It cannot be both's.
  Pod pod, other;
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Attach(pod, {{"theirs", "net1"}}).status()));
  const auto addresses = Attach(other, {{"red", "net1"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(
      node_.Shell("ip link show " + addresses->secondary[0].parent),
      testing::HasSubstr("alias made by pinion (" + options_.host_link_name));
  node_.Run([this] { EXPECT_TRUE(RemoveNodeDevices(options_).ok()); });
  EXPECT_THAT(Vlans(), ElementsAre(name));
}

}  // namespace
}  // namespace pinion::network
