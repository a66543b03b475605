// network.mode = "cni" with the plugins that Debian packages
// (containernetworking-plugins): bridge, host-local, portmap, bandwidth; and
// with a script for what real plugins do not do when they are asked to.

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "base/json.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;

using testing_support::ReachesPort;

class CniTest : public NetworkTest {
 protected:
  CniTest() {
    options_.mode = Options::Mode::kCni;
    options_.cni_conf_dir = dir_ + "/net.d";
    options_.cni_bin_dirs = {dir_ + "/bin", "/usr/lib/cni"};
    options_.cni_state_dir = dir_ + "/cni";
    for (const char* name : {"/net.d", "/bin", "/host-local"}) {
      std::filesystem::create_directory(dir_ + name);
    }
  }

  void Configure(const std::string& text, const std::string& name = "10-x") {
    std::ofstream(options_.cni_conf_dir + "/" + name + ".conflist") << text;
  }

  // What the issue names: bridge + host-local + portmap, and bandwidth.
  void ConfigureBridge() {
    Configure(R"({"cniVersion": "1.0.0", "name": "pn-test", "plugins": [
      {"type": "bridge", "bridge": "pn-cni0", "isGateway": true,
       "ipMasq": true, "ipam": {"type": "host-local", "dataDir": ")" +
              dir_ + R"(/host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]],
       "routes": [{"dst": "0.0.0.0/0"}]}},
      {"type": "portmap", "capabilities": {"portMappings": true}},
      {"type": "bandwidth", "capabilities": {"bandwidth": true}}]})");
  }

  // A plugin that notes what it is asked and then runs `body`.
  void AddScript(const std::string& name, const std::string& body) {
    std::ofstream(dir_ + "/script")
        << "#!/bin/sh\nread -r conf\n"
        << "echo \"$CNI_COMMAND " << name << " $CNI_NETNS $conf\" >>" << dir_
        << "/calls\n"
        << body << "\n";
    // Written by another process: a plugin that is started meanwhile would
    // inherit our descriptor, and what is open for writing does not run.
    node_.Shell("install -m 755 " + dir_ + "/script " + dir_ + "/bin/" + name);
  }

  // But for those of the background.
  std::vector<std::string> Calls() {
    std::vector<std::string> lines;
    for (const std::string& line : AllCalls()) {
      if (line.rfind("STATUS", 0) != 0) lines.push_back(line);
    }
    return lines;
  }
  std::vector<std::string> AllCalls() {
    std::ifstream file(dir_ + "/calls");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) {
    absl::StatusOr<PodAddresses> result = absl::UnknownError("not run");
    node_.Run([&] { result = network_->Attach(request); });
    return result;
  }
  absl::Status Detach(const std::string& id) {
    absl::Status status;
    node_.Run([&] { status = network_->Detach(id); });
    return status;
  }
  absl::Status Reconcile(const std::vector<KnownPod>& pods) {
    absl::Status status;
    node_.Run([&] { status = network_->Reconcile(pods); });
    return status;
  }

  // Addresses that host-local has given away.
  size_t Leases() {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_ + "/host-local/pn-test")) {
      const std::string name = entry.path().filename();
      if (name[0] >= '0' && name[0] <= '9') ++count;
    }
    return count;
  }

  size_t Attachments() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(options_.cni_state_dir)) {
      ++count;
    }
    return count;
  }
};

TEST_F(CniTest, PodsReachEachOtherTheNodeAndTheirPortsFromOutside) {
  TestHost outside;
  Connect(node_, outside, "lan0");
  node_.Shell("ip link set lo up; ip address add 192.0.2.1/24 dev lan0");
  outside.Shell("ip address add 192.0.2.2/24 dev lan0");
  ConfigureBridge();
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod a;
  Pod b;
  AttachRequest request = a.Request();
  request.host_ports = {{HostPort::Protocol::kTcp, 8088, 7, ""}};
  request.pod_namespace = "default";
  request.pod_name = "a";
  request.egress_bits_per_second = 10'000'000;
  const auto at_a = Attach(request);
  const auto at_b = Attach(b.Request());
  ASSERT_TRUE(at_a.ok()) << at_a.status();
  ASSERT_TRUE(at_b.ok()) << at_b.status();
  EXPECT_EQ(at_a->interface_name, "eth0");
  EXPECT_THAT(a.host.Shell("ip -o link show eth0"), HasSubstr(at_a->mac));
  EXPECT_TRUE(Reaches(a.host, b.host, at_b->ip));
  EXPECT_TRUE(Reaches(node_, a.host, at_a->ip));
  EXPECT_TRUE(Reaches(a.host, outside, "192.0.2.2"));
  EXPECT_NE(ReachesPort(outside, a.host, "192.0.2.1", 8088, 7), "");
  EXPECT_NE(ReachesPort(node_, a.host, "127.0.0.1", 8088, 7), "");
  EXPECT_THAT(node_.Shell("tc qdisc show"), HasSubstr("tbf"));

  // Again: the same answer and nothing more.
  const auto again = Attach(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->ip, at_a->ip);
  EXPECT_EQ(Leases(), 2u);

  EXPECT_TRUE(Detach(a.id).ok());
  EXPECT_TRUE(Detach(b.id).ok());
  EXPECT_TRUE(Detach(b.id).ok());
  EXPECT_EQ(Leases(), 0u);
  EXPECT_EQ(Attachments(), 0u);
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr("8088")));
  // The masquerade of each pod, too: its namespace was there for DEL.
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr(at_b->ip)));
}

TEST_F(CniTest, DelHasTheNamespaceAlsoAfterThePodAndADaemonHaveGone) {
  ConfigureBridge();
  ASSERT_TRUE(Start().ok());
  auto pod = std::make_unique<Pod>();
  const auto addresses = Attach(pod->Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  // Another daemon learns of it from the records.
  const std::string netns_path =
      "/proc/self/fd/" + std::to_string(pod->host.netns_fd());
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Reconcile({{pod->id, {addresses->ip}, {}, netns_path}}).ok());
  const std::string id = pod->id;
  pod.reset();
  EXPECT_TRUE(Detach(id).ok());
  EXPECT_EQ(Leases(), 0u);
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr(addresses->ip)));
}

TEST_F(CniTest, PodsThatAreGoneAreDetachedAtStart) {
  ConfigureBridge();
  ASSERT_TRUE(Start().ok());
  Pod gone;
  Pod stays;
  ASSERT_TRUE(Attach(gone.Request()).ok());
  ASSERT_TRUE(Attach(stays.Request()).ok());
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Reconcile({{stays.id, {}}}).ok());
  EXPECT_TRUE(Eventually([&] { return Attachments() == 1; }));
  EXPECT_TRUE(Eventually([&] { return Leases() == 1; }));
}

TEST_F(CniTest, APluginThatFailsLeavesNothing) {
  Configure(R"({"cniVersion": "0.4.0", "name": "n", "plugins": [
      {"type": "first"}, {"type": "second"}]})");
  AddScript("first", R"([ $CNI_COMMAND = DEL ] ||
      echo '{"cniVersion":"0.4.0","ips":[{"address":"10.1.1.1/24"}]}')");
  AddScript("second", R"([ $CNI_COMMAND = DEL ] && exit 0
      echo '{"code": 11, "msg": "not now", "details": "later"}'; exit 1)");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto result = Attach(pod.Request());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(result.status().message(),
              HasSubstr("/bin/second ADD: not now (later)"));
  EXPECT_EQ(Attachments(), 0u);
  const std::vector<std::string> calls = Calls();
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_THAT(calls[0], HasSubstr("ADD first /proc/"));
  EXPECT_THAT(calls[1], HasSubstr(R"("prevResult":{"cniVersion":"0.4.0")"));
  EXPECT_THAT(calls[2], HasSubstr("DEL second"));
  EXPECT_THAT(calls[3], HasSubstr("DEL first"));
}

TEST_F(CniTest, ADelThatFailsIsAskedAgain) {
  Configure(R"({"cniVersion": "0.4.0", "name": "n", "type": "flaky"})");
  AddScript("flaky", R"([ $CNI_COMMAND = DEL ] && [ ! -e )" + dir_ +
                         R"(/ok ] && echo broken >&2 && exit 3
      echo '{"ips":[{"address":"10.1.1.1/24"}]}')");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod.Request()).ok());
  const absl::Status refused = Detach(pod.id);
  EXPECT_THAT(refused.message(), HasSubstr("exit code 3: broken"));
  EXPECT_EQ(Attachments(), 1u);
  std::ofstream(dir_ + "/ok") << "";
  EXPECT_TRUE(Detach(pod.id).ok());
  EXPECT_EQ(Attachments(), 0u);
  // It saw the result of its ADD.
  EXPECT_THAT(Calls().back(), HasSubstr(R"("address":"10.1.1.1/24")"));
}

TEST_F(CniTest, APluginThatHangsIsKilled) {
  // Time enough for the script to start.
  options_.cni_timeout = std::chrono::seconds(5);
  Configure(R"({"cniVersion": "1.0.0", "name": "n", "type": "slow"})");
  // With what it has started.
  AddScript("slow", "[ $CNI_COMMAND = DEL ] && exit; sleep 4716 & echo $! >" +
                        dir_ + "/child; wait");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  EXPECT_EQ(Attach(pod.Request()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Attachments(), 0u);
  pid_t child = 0;
  ASSERT_TRUE(std::ifstream(dir_ + "/child") >> child);
  // Gone, or waiting for init to reap it.
  EXPECT_TRUE(Eventually([&] {
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string text;
    return !std::getline(stat, text) || text.find(") Z ") != text.npos;
  }));
}

TEST_F(CniTest, GarbageIsCollectedAndLivePodsAreChecked) {
  Configure(R"({"cniVersion": "1.1.0", "name": "n", "plugins": [
      {"type": "noted"}]})");
  AddScript("noted", R"(echo '{"ips":[{"address":"10.1.1.1/24"}]}')");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod.Request()).ok());
  ASSERT_TRUE(
      Reconcile({{pod.id,
                  {},
                  {},
                  "/proc/self/fd/" + std::to_string(pod.host.netns_fd())}})
          .ok());
  ASSERT_TRUE(Eventually([&] { return Calls().size() == 3; }));
  EXPECT_THAT(Calls()[1], HasSubstr("GC noted"));
  EXPECT_THAT(Calls()[1], HasSubstr(R"("cni.dev/valid-attachments":[{)"));
  EXPECT_THAT(Calls()[1], HasSubstr(pod.id));
  EXPECT_THAT(Calls()[2], HasSubstr("CHECK noted /proc/"));
}

TEST_F(CniTest, ReadinessSaysWhatIsMissing) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "CniConfigMissing");
  // A directory is no file, whatever its name.
  std::filesystem::create_directory(options_.cni_conf_dir + "/05.conf");
  EXPECT_EQ(network_->GetReadiness().reason, "CniConfigMissing");
  Configure("{");
  EXPECT_EQ(network_->GetReadiness().reason, "CniConfigInvalid");
  EXPECT_THAT(network_->GetReadiness().message, HasSubstr("10-x.conflist"));
  Configure(R"({"cniVersion": "1.0.0", "name": "n", "type": "pn-none"})");
  EXPECT_EQ(network_->GetReadiness().reason, "CniPluginMissing");
  AddScript("pn-none", "");
  EXPECT_TRUE(network_->GetReadiness().ready);
  // The first by name counts.
  Configure("{", "00-y");
  EXPECT_EQ(network_->GetReadiness().reason, "CniConfigInvalid");
}

// Of the version that the configuration has; without running it when asked.
TEST_F(CniTest, ReadinessIsWhatPluginsSay) {
  Configure(R"({"cniVersion": "1.1.0", "name": "n", "plugins": [
      {"type": "noted"}, {"type": "moody"}]})");
  AddScript("noted", "");
  AddScript("moody", "[ -e " + dir_ + R"(/well ] && exit 0
      echo '{"code": 50, "msg": "the agent is not up"}'; exit 1)");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Eventually([&] {
    return network_->GetReadiness().reason == "CniPluginNotReady";
  })) << network_->GetReadiness().reason;
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("/bin/moody STATUS: the agent is not up"));
  for (int i = 0; i < 1000; ++i) (void)network_->GetReadiness();
  EXPECT_LT(AllCalls().size(), 20u);
  std::ofstream(dir_ + "/well") << "";
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  // Before 1.1.0 there is no such question.
  std::filesystem::remove(dir_ + "/well");
  Configure(R"({"cniVersion": "1.0.0", "name": "n", "type": "moody"})");
  EXPECT_TRUE(network_->GetReadiness().ready);
}

// Debian's plugins speak 0.3.0 to 1.0.0: of what the list offers that is it.
TEST_F(CniTest, TheHighestVersionThatAllSpeakIsTaken) {
  ConfigureBridge();
  std::string text;
  std::getline(std::ifstream(options_.cni_conf_dir + "/10-x.conflist"), text,
               '\0');
  text.insert(1, R"("cniVersions": ["0.4.0", "1.0.0", "1.1.0"], )");
  Configure(text);
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  Pod pod;
  const auto addresses = Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  const std::string kept = node_.Shell("cat " + options_.cni_state_dir + "/*");
  EXPECT_THAT(kept, HasSubstr(R"("cniVersion": "1.0.0")"));
  EXPECT_THAT(kept, Not(HasSubstr("1.1.0")));
  EXPECT_TRUE(Detach(pod.id).ok());
  EXPECT_EQ(Leases(), 0u);

  AddScript("modern", R"(echo '{"supportedVersions": ["1.1.0"],
      "ips": [{"address": "10.1.1.1/24"}]}')");
  Configure(R"({"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "1.1.0", "9"],
      "name": "n", "plugins": [{"type": "modern"}]})");
  Pod other;
  ASSERT_TRUE(Attach(other.Request()).ok());
  EXPECT_THAT(Calls().back(), HasSubstr(R"("cniVersion":"1.1.0")"));
  // Asked once, not for each pod.
  const size_t calls = Calls().size();
  Pod third;
  ASSERT_TRUE(Attach(third.Request()).ok());
  EXPECT_EQ(Calls().size(), calls + 1);

  Configure(R"({"cniVersion": "0.4.0", "cniVersions": ["1.0.0"],
      "name": "n", "plugins": [{"type": "modern"}]})");
  Pod none;
  EXPECT_THAT(Attach(none.Request()).status().message(),
              HasSubstr("the plugin modern speaks 1.1.0, the configuration "
                        "0.4.0, 1.0.0"));
}

// What an add-on copies there after a reboot.
TEST_F(CniTest, APluginThatComesLateIsAskedForItsVersionsThen) {
  Configure(R"({"cniVersion": "1.0.0", "cniVersions": ["1.1.0"],
      "name": "n", "plugins": [{"type": "late"}]})");
  ASSERT_TRUE(Start().ok());
  Pod early;
  EXPECT_FALSE(Attach(early.Request()).ok());
  AddScript("late", R"(echo '{"supportedVersions": ["1.0.0"],
      "ips": [{"address": "10.1.1.1/24"}]}')");
  Pod pod;
  const auto addresses = Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(Calls().back(), HasSubstr(R"("cniVersion":"1.0.0")"));
}

TEST_F(CniTest, PodsThatComeAtOnceAskForVersionsOnce) {
  ASSERT_TRUE(Start().ok());
  AddScript("modern", R"([ $CNI_COMMAND != VERSION ] || sleep 1
      echo '{"supportedVersions": ["1.0.0"],
      "ips": [{"address": "10.1.1.1/24"}]}')");
  Configure(R"({"cniVersion": "0.4.0", "cniVersions": ["1.0.0"],
      "name": "n", "plugins": [{"type": "modern"}]})");
  std::vector<Pod> pods(4);
  std::vector<std::thread> threads;
  for (Pod& pod : pods) {
    threads.emplace_back(
        [&] { EXPECT_TRUE(network_->Attach(pod.Request()).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  int versions = 0;
  for (const std::string& call : Calls()) {
    if (call.rfind("VERSION", 0) == 0) ++versions;
  }
  EXPECT_EQ(versions, 1);
  EXPECT_EQ(Calls().size(), 1 + pods.size());
}

TEST_F(CniTest, AStopWaitsForOnePluginAndAsksNoOther) {
  AddScript("slow", "sleep 60");
  Configure(R"({"cniVersion": "1.0.0", "cniVersions": ["1.1.0"],
      "name": "n", "plugins": [{"type": "slow"}, {"type": "slow"},
      {"type": "slow"}]})");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Eventually([&] { return !AllCalls().empty(); }));
  network_.reset();
  EXPECT_EQ(AllCalls().size(), 1u);
}

TEST_F(CniTest, ThePodCidrReachesPluginsThatWantIt) {
  Configure(R"({"cniVersion": "1.0.0", "name": "n", "plugins": [
      {"type": "noted", "capabilities": {"ipRanges": true}}]})");
  AddScript("noted", R"(echo '{"ips":[{"address":"10.1.1.1/24"}]}')");
  ASSERT_TRUE(Start().ok());
  EXPECT_FALSE(network_->SetPodCidr("10.1.1.1/8/9").ok());
  ASSERT_TRUE(network_->SetPodCidr("10.1.0.0/16").ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod.Request()).ok());
  EXPECT_THAT(
      Calls()[0],
      HasSubstr(
          R"("runtimeConfig":{"ipRanges":[[{"subnet":"10.1.0.0/16"}]]})"));
  EXPECT_THAT(Calls()[0], Not(HasSubstr("capabilities")));
}

}  // namespace
}  // namespace pinion::network
