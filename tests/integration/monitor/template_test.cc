// Monitors that are copies of a template: that they are like any other, and
// what happens when the template, or whoever asked, does not stay.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <sstream>

#include "os/file.h"
#include "os/network_namespace.h"
#include "runtime/monitor/client_template.h"
#include "runtime/monitor/inherited.h"
#include "tests/integration/monitor/monitor_bed.h"
#include "tests/support/invariant_processes.h"

namespace pinion::monitor {
namespace {

using testing::HasSubstr;

const std::string kId(64, 'a');

std::string ReadProc(pid_t pid, const std::string& file) {
  return os::ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + file)
      .value_or("");
}

std::string Link(pid_t pid, const std::string& name) {
  return testing_support::ProcLink(pid, name);
}

// The lines of /proc/PID/status that say what a process may do.
std::string Powers(pid_t pid) {
  std::string powers;
  std::istringstream status(ReadProc(pid, "status"));
  for (std::string line; std::getline(status, line);) {
    for (const char* name :
         {"Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "Cap",
          "NoNewPrivs", "Seccomp", "Name", "Cpus_allowed:", "CoreDumping"}) {
      if (line.rfind(name, 0) == 0) powers += line + "\n";
    }
  }
  return powers + ReadProc(pid, "oom_score_adj") + ReadProc(pid, "limits");
}

// What each is and how it was opened, and the number where it is a fixed one.
std::multiset<std::string> Descriptors(pid_t pid) {
  std::multiset<std::string> found;
  const std::string dir = "/proc/" + std::to_string(pid) + "/";
  for (const std::string& fd : os::ListDirAt(AT_FDCWD, dir + "fd")
                                   .value_or(std::vector<std::string>{})) {
    std::string target = Link(pid, "fd/" + fd);
    // Of sockets and anonymous files, not which.
    target = target.substr(0, target.find(":["));
    std::istringstream info(ReadProc(pid, "fdinfo/" + fd));
    for (std::string line; std::getline(info, line);) {
      if (line.rfind("flags:", 0) == 0) target += " " + line.substr(6);
    }
    const int number = std::stoi(fd);
    const bool fixed = number <= kPodDirFd || number == kMonitorNetnsFd;
    found.insert((fixed ? fd : "any") + " " + target);
  }
  return found;
}

class TemplateTest : public MonitorTest {
 protected:
  void TearDown() override {
    // Before the template, which tells of its copies so that they are reaped.
    if (client_ != nullptr) {
      EXPECT_TRUE(client_->Shutdown(Soon()).ok());
      client_.reset();
    }
    source_.reset();
    MonitorTest::TearDown();
  }

  void StartTemplate() {
    auto made = MonitorTemplate::Create(image_.get(), reactor(),
                                        [this] { lost_ = true; });
    ASSERT_TRUE(made.ok()) << made.status();
    source_ = std::move(*made);
  }

  MonitorClient::SpawnOptions Options(int cgroup_fd = -1) {
    MonitorClient::SpawnOptions options;
    options.pod_id = kId;
    options.pod_dir_fd = pod_dir_fd_.get();
    options.image_fd = image_.get();
    options.cgroup_fd = cgroup_fd;
    return options;
  }

  absl::StatusOr<std::unique_ptr<MonitorClient>> Clone(int cgroup_fd = -1) {
    return MonitorClient::Clone(Options(cgroup_fd), *source_, reactor(),
                                events_.MakeCallbacks());
  }

  // A copy that has greeted.
  void StartCopy(int cgroup_fd = -1) {
    auto client = Clone(cgroup_fd);
    ASSERT_TRUE(client.ok()) << client.status();
    const absl::Status greeted = (*client)->AwaitGreeting(Soon());
    ASSERT_TRUE(greeted.ok()) << greeted;
    client_ = std::move(*client);
  }

  std::unique_ptr<MonitorTemplate> source_;
  std::atomic<bool> lost_ = false;
};

TEST_F(TemplateTest, ACopyIsAMonitorLikeAnyOther) {
  auto spawned =
      MonitorClient::Spawn(Options(), reactor(), later_.MakeCallbacks());
  ASSERT_TRUE(spawned.ok()) << spawned.status();
  SandboxRequest request;
  request.hostname = "pod";
  ASSERT_TRUE((*spawned)->SetUpSandbox(request, Soon()).ok());
  // It closes what it has sent before it answers another request.
  ASSERT_TRUE((*spawned)->Forget("none", Soon()).ok());
  const pid_t other = (*spawned)->pid();
  const std::string powers = Powers(other);
  const std::multiset<std::string> descriptors = Descriptors(other);
  const std::string command = testing_support::CommandLine(other);
  const std::string image = Link(other, "exe");
  ASSERT_TRUE((*spawned)->Shutdown(Soon()).ok());
  ASSERT_EQ(unlink((pod_dir_ + "/monitor.sock").c_str()), 0);

  StartTemplate();
  const os::UniqueFd leaf = Leaf("monitor");
  StartCopy(leaf.get());
  auto sandbox = client_->SetUpSandbox(request, Soon());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  const pid_t pid = client_->pid();
  EXPECT_EQ(Powers(pid), powers);
  ASSERT_TRUE(client_->Forget("none", Soon()).ok());
  EXPECT_EQ(Descriptors(pid), descriptors);
  EXPECT_EQ(testing_support::CommandLine(pid), command);
  EXPECT_EQ(Link(pid, "exe"), image);
  EXPECT_THAT(command, HasSubstr(kId));
  EXPECT_EQ(Link(pid, "cwd"), "/");
  EXPECT_EQ(getsid(pid), pid) << "it would get its terminal's signals";
  EXPECT_THAT(ReadProc(pid, "cgroup"), HasSubstr(cgroup_->path() + "/monitor"));
  EXPECT_EQ(testing_support::AllProcesses()[pid].parent, getpid());
  struct stat netns = {};
  struct stat held = {};
  ASSERT_EQ(fstat(sandbox->netns.get(), &netns), 0);
  ASSERT_EQ(stat(("/proc/" + std::to_string(pid) + "/fd/10").c_str(), &held),
            0);
  EXPECT_EQ(held.st_ino, netns.st_ino);
  EXPECT_NE(Link(pid, "ns/net"), Link(getpid(), "ns/net"));
}

TEST_F(TemplateTest, ACopyRunsContainersAndReportsTheirEnd) {
  StartTemplate();
  StartCopy();
  SandboxRequest request;
  request.new_network = false;
  ASSERT_TRUE(client_->SetUpSandbox(request, Soon()).ok());
  Run("c1", "echo hello; exit 3");
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 3);
  EXPECT_EQ(Text("c1", "stdout"), "hello\n");
  EXPECT_EQ(events_.lost(), 0u);
}

TEST_F(TemplateTest, ACopyEntersTheNetworkNamespaceItIsGiven) {
  const auto network =
      os::NewNetworkNamespace(os::RouterAdvertisements::kIgnored);
  ASSERT_TRUE(network.ok()) << network.status();
  StartTemplate();
  StartCopy();
  SandboxRequest request;
  request.netns_fd = network->fd.get();
  request.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "7"}};
  const auto sandbox = client_->SetUpSandbox(request, Soon());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_FALSE(sandbox->netns.valid());
  struct stat given = {};
  ASSERT_EQ(fstat(network->fd.get(), &given), 0);
  const std::string process = "/proc/" + std::to_string(client_->pid());
  for (const char* where : {"/fd/10", "/ns/net"}) {
    struct stat held = {};
    ASSERT_EQ(stat((process + where).c_str(), &held), 0);
    EXPECT_EQ(held.st_ino, given.st_ino) << where;
  }
  EXPECT_NE(
      os::ReadFileAt(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start")
          .value_or(""),
      "7\n")
      << "it was set for the whole node";
}

TEST_F(TemplateTest, ALaterDaemonFindsTheCopy) {
  StartTemplate();
  StartCopy();
  SandboxRequest request;
  request.new_network = false;
  ASSERT_TRUE(client_->SetUpSandbox(request, Soon()).ok());
  const pid_t pid = client_->pid();
  client_.reset();
  source_.reset();
  client_ = Reconnect(later_, nullptr);
  ASSERT_NE(client_, nullptr);
  EXPECT_EQ(client_->pid(), pid);
}

TEST_F(TemplateTest, TheTemplateEndsWithItsOwnerAndCopiesLiveOn) {
  StartTemplate();
  const pid_t pid = source_->pid();
  StartCopy();
  SandboxRequest request;
  request.new_network = false;
  ASSERT_TRUE(client_->SetUpSandbox(request, Soon()).ok());
  source_.reset();
  EXPECT_TRUE(Eventually([pid] { return kill(pid, 0) != 0; }));
  EXPECT_FALSE(lost_) << "it ended because it was to";
  Run("c1", "exit 4");
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 4);
}

TEST_F(TemplateTest, AKilledTemplateIsNoticed) {
  StartTemplate();
  ASSERT_EQ(kill(source_->pid(), SIGKILL), 0);
  EXPECT_TRUE(Eventually([this] { return lost_.load(); }));
  const auto client = Clone();
  ASSERT_FALSE(client.ok());
  EXPECT_TRUE(absl::IsUnavailable(client.status())) << client.status();
}

TEST_F(TemplateTest, ACopyThatWasGivenUpEndsWhenItComes) {
  StartTemplate();
  ASSERT_EQ(kill(source_->pid(), SIGSTOP), 0);
  auto client = Clone();
  ASSERT_TRUE(client.ok()) << client.status();
  SandboxRequest request;
  request.new_network = false;
  ASSERT_TRUE((*client)->BeginSandbox(request, Soon()).ok());
  const absl::Status greeted = (*client)->AwaitGreeting(
      std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(greeted)) << greeted;
  client->reset();
  ASSERT_EQ(kill(source_->pid(), SIGCONT), 0);
  // Requests are served in order, so the first copy exists when the second, of
  // another pod, has greeted; the fixture waits until both are gone.
  ASSERT_TRUE(os::MakeDirs(dir_ + "/pods/other", 0700).ok());
  pod_dir_fd_ =
      os::OpenAt(AT_FDCWD, dir_ + "/pods/other", O_RDONLY | O_DIRECTORY)
          .value();
  StartCopy();
  EXPECT_EQ(events_.lost(), 0u) << "of a monitor that nobody has known";
}

TEST_F(TemplateTest, ACopyThatCannotBeMadeHangsUp) {
  StartTemplate();
  // No cgroup.
  const os::UniqueFd directory =
      os::OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY).value();
  auto client = Clone(directory.get());
  ASSERT_TRUE(client.ok()) << client.status();
  const absl::Status greeted = (*client)->AwaitGreeting(Soon());
  EXPECT_TRUE(absl::IsUnavailable(greeted)) << greeted;
  EXPECT_EQ(events_.lost(), 0u);
  // The template is none the worse.
  client->reset();
  StartCopy();
}

TEST_F(TemplateTest, AnIdOfAnotherLengthIsRefused) {
  StartTemplate();
  MonitorClient::SpawnOptions options = Options();
  options.pod_id = "short";
  const auto client = MonitorClient::Clone(options, *source_, reactor(),
                                           events_.MakeCallbacks());
  EXPECT_TRUE(absl::IsInvalidArgument(client.status())) << client.status();
}

TEST_F(TemplateTest, ManyCopiesStayWithinTheirBudget) {
  StartTemplate();
  constexpr int kCopies = 20;
  std::vector<std::unique_ptr<MonitorClient>> clients;
  std::vector<os::UniqueFd> directories;
  for (int i = 0; i < kCopies; ++i) {
    const std::string path = dir_ + "/pods/copy-" + std::to_string(i);
    ASSERT_TRUE(os::MakeDirs(path, 0700).ok());
    directories.push_back(
        os::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).value());
    MonitorClient::SpawnOptions options = Options();
    options.pod_dir_fd = directories.back().get();
    auto client = MonitorClient::Clone(options, *source_, reactor(),
                                       events_.MakeCallbacks());
    ASSERT_TRUE(client.ok()) << client.status();
    clients.push_back(std::move(*client));
  }
  std::set<pid_t> pids;
  for (const auto& client : clients) {
    ASSERT_TRUE(client->AwaitGreeting(Soon()).ok());
    ASSERT_TRUE(client->SetUpSandbox(SandboxRequest(), Soon()).ok());
    pids.insert(client->pid());
  }
  EXPECT_EQ(pids.size(), size_t{kCopies});
  for (const pid_t pid : pids) {
    // It gives memory back when it has nothing else to do.
    EXPECT_TRUE(Eventually([&] { return MemoryKib(pid, "Pss") <= 300; }))
        << MemoryKib(pid, "Pss");
  }
  for (const auto& client : clients) {
    EXPECT_TRUE(client->Shutdown(Soon()).ok());
  }
}

}  // namespace
}  // namespace pinion::monitor
