// What is made ahead for the next pods (runtime/warm_pool.h), through the whole
// daemon: that pods use it, and what happens when it is gone, mute or used up.
// The bed checks that nothing of it stays behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/invariant_processes.h"

namespace pinion::testing {
namespace {

using testing_support::CommandLine;
using testing_support::DoesNotWait;
using testing_support::Eventually;
using testing_support::Process;

// The daemon's child with this word in its command line; 0: none.
pid_t ChildWith(pid_t daemon, const std::string& word) {
  for (const auto& [pid, process] : testing_support::AllProcesses()) {
    if (process.parent == daemon && process.state != 'Z' &&
        CommandLine(pid).find(word) != std::string::npos) {
      return pid;
    }
  }
  return 0;
}

pid_t TemplateOf(const DaemonBed& bed) {
  return ChildWith(bed.pid(), "(template)");
}

pid_t AwaitTemplate(const DaemonBed& bed, pid_t before = 0) {
  pid_t pid = 0;
  EXPECT_TRUE(Eventually([&] {
    pid = TemplateOf(bed);
    return pid != 0 && pid != before;
  })) << "there is no template";
  return pid;
}

// Where the kernel put a process's stack: the same in a copy, different in
// whatever was executed by itself.
std::string StackOf(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    // The lower end grows.
    if (line.find("[stack]") != std::string::npos) {
      return line.substr(line.find('-'), 13);
    }
  }
  return "";
}

bool IsCopy(const DaemonBed& bed, const std::string& pod, pid_t source) {
  const pid_t monitor = ChildWith(bed.pid(), pod);
  EXPECT_NE(monitor, 0);
  EXPECT_EQ(CommandLine(monitor), "pinion-monitor " + pod);
  return StackOf(monitor) == StackOf(source);
}

// A pod whose monitor is a copy of the template. A template is used once the
// daemon knows it, and not any more if a copy once took too long.
std::string RunCopy(DaemonBed& bed,
                    const runtime::v1::PodSandboxConfig& config) {
  std::string pod;
  EXPECT_TRUE(Eventually([&] {
    if (!pod.empty()) {
      EXPECT_TRUE(bed.RemovePod(pod).ok());
    }
    const pid_t source = AwaitTemplate(bed);
    pod = bed.RunPod(config);
    return IsCopy(bed, pod, source) && TemplateOf(bed) == source;
  })) << "the template is not copied, or used up";
  return pod;
}

// A container that answers.
void Use(DaemonBed& bed, const std::string& pod,
         const runtime::v1::PodSandboxConfig& config) {
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  const auto result = bed.Exec(id, {"ip", "-4", "addr", "show", "eth0"});
  EXPECT_EQ(result.exit_code(), 0) << result.stderr();
  EXPECT_NE(result.stdout().find(bed.PodStatus(pod).network().ip()),
            std::string::npos)
      << result.stdout();
}

std::string RunAndUse(DaemonBed& bed, const std::string& name) {
  const auto config = bed.PodConfig(name);
  const std::string pod = bed.RunPod(config);
  Use(bed, pod, config);
  return pod;
}

TEST(WarmPoolTest, APodsMonitorIsACopyOfTheTemplate) {
  DaemonBed bed;
  const auto config = bed.PodConfig("copy");
  Use(bed, RunCopy(bed, config), config);
}

TEST(WarmPoolTest, NoPodHeedsRoutersMadeAheadOrNot) {
  for (const char* size : {"0", "2"}) {
    DaemonBed bed("[runtime]\nwarm_pods = " + std::string(size) +
                  "\nallowed_unsafe_sysctls = [\"net.ipv6.conf.*\"]\n");
    if (*size != '0') AwaitTemplate(bed);
    const std::string setting = "net.ipv6.conf.default.accept_ra";
    for (const std::string wish : {"", "2"}) {
      auto config = bed.PodConfig("pod" + wish);
      if (!wish.empty()) {
        (*config.mutable_linux()->mutable_sysctls())[setting] = wish;
      }
      const std::string pod = bed.RunPod(config);
      const std::string id = bed.RunContainer(
          pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
      const auto result =
          bed.Exec(id, {"cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra"});
      EXPECT_EQ(result.stdout(), wish.empty() ? "0\n" : wish + "\n")
          << result.stderr() << "with warm_pods = " << size;
    }
  }
}

TEST(WarmPoolTest, HostNetworkAndASharedPidNamespaceWork) {
  DaemonBed bed;
  for (const bool host : {true, false}) {
    auto config = bed.PodConfig(host ? "host" : "shared");
    auto* namespaces = config.mutable_linux()
                           ->mutable_security_context()
                           ->mutable_namespace_options();
    namespaces->set_network(host ? runtime::v1::NODE : runtime::v1::POD);
    namespaces->set_pid(runtime::v1::POD);
    const std::string pod = RunCopy(bed, config);
    const bool is_hosts =
        testing_support::ProcLink(ChildWith(bed.pid(), pod), "ns/net") ==
        testing_support::ProcLink(bed.pid(), "ns/net");
    EXPECT_EQ(is_hosts, host);
    // It takes its name when it has its turn.
    EXPECT_TRUE(Eventually([&] {
      return ChildWith(ChildWith(bed.pid(), pod), "pinion-init") != 0;
    }));
  }
}

TEST(WarmPoolTest, ABurstThatUsesItUpIsServed) {
  DaemonBed bed("[runtime]\nwarm_pods = 2\n");
  AwaitTemplate(bed);
  constexpr int kPods = 12;
  std::vector<std::string> pods(kPods);
  std::vector<std::thread> threads;
  for (int i = 0; i < kPods; ++i) {
    threads.emplace_back([&bed, &pods, i] {
      pods[static_cast<size_t>(i)] =
          bed.RunPod(bed.PodConfig("burst-" + std::to_string(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<std::string, std::string> owners;
  for (const std::string& pod : pods) {
    const std::string netns =
        testing_support::ProcLink(ChildWith(bed.pid(), pod), "ns/net");
    EXPECT_EQ(owners[netns], "") << "two pods in one network namespace";
    owners[netns] = pod;
  }
}

TEST(WarmPoolTest, WithoutItPodsStartAllTheSame) {
  DaemonBed bed("[runtime]\nwarm_pods = 0\n");
  RunAndUse(bed, "cold");
  EXPECT_EQ(TemplateOf(bed), 0);
}

TEST(WarmPoolTest, AKilledTemplateIsReplaced) {
  DaemonBed bed;
  const pid_t source = AwaitTemplate(bed);
  const std::string before = RunAndUse(bed, "before");
  ASSERT_EQ(kill(source, SIGKILL), 0);
  RunAndUse(bed, "meanwhile");
  AwaitTemplate(bed, source);
  RunCopy(bed, bed.PodConfig("after"));
  EXPECT_EQ(bed.PodStatus(before).state(), runtime::v1::SANDBOX_READY);
}

TEST(WarmPoolTest, AStoppedTemplateHoldsNobodyForLong) {
  DaemonBed bed;
  pid_t source = 0;
  // For a copy it waits 3 s (pod_monitor.cc, kCopyDeadline), and not as long as
  // for a monitor (context.cc, kMonitorDeadline).
  EXPECT_TRUE(
      DoesNotWait(std::chrono::seconds(10), [&](const std::string& name) {
        source = AwaitTemplate(bed, source);
        ASSERT_EQ(kill(source, SIGSTOP), 0);
        RunAndUse(bed, "first-" + name);
      }));
  EXPECT_TRUE(Eventually([&] {
    return testing_support::AllProcesses().count(source) == 0;
  })) << "it is still there";
  AwaitTemplate(bed, source);
  RunAndUse(bed, "second");
}

TEST(WarmPoolTest, ItEndsWithTheDaemonAndPodsDoNot) {
  DaemonBed bed;
  const pid_t source = AwaitTemplate(bed);
  const std::string pod = RunAndUse(bed, "survivor");
  bed.Kill();
  // Its new parent may take a while to reap it.
  EXPECT_TRUE(Eventually([source] { return CommandLine(source).empty(); }));
  bed.Start();
  EXPECT_EQ(bed.PodStatus(pod).state(), runtime::v1::SANDBOX_READY);
  const pid_t next = AwaitTemplate(bed);
  EXPECT_NE(next, source);
  RunAndUse(bed, "next");
  EXPECT_EQ(bed.Terminate(), 0);
  EXPECT_TRUE(Eventually([next] { return CommandLine(next).empty(); }));
}

}  // namespace
}  // namespace pinion::testing
