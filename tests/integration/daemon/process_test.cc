// piniond as a process: its command line, its signals, its contract with the
// service manager, its files, its metrics. Needs root.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/config_file.h"
#include "os/file.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/v1/api.pb.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/run_program.h"
#include "tools/cri_client.h"
#include "tools/http_get.h"

namespace pinion::testing {
namespace {

using ::testing::HasSubstr;

// The bound of what hangs; nothing here is to take so long.
constexpr std::chrono::seconds kPatience(120);
constexpr int kPatienceMs = 120'000;

// Nobody else is in this network namespace, and the kernel chooses higher ones
// (ip(7), ip_local_port_range).
uint16_t NextPort() {
  static uint16_t port = 20000;
  return port++;
}

mode_t ModeOf(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st.st_mode & 07777;
}

class ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pn-process-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    port_ = NextPort();
    WriteConfig("");
    notify_ = os::UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, NotifyPath().c_str(),
                 sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(notify_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
  }

  void TearDown() override {
    if (HasFailure() && daemon_ != nullptr) {
      std::fprintf(stderr, "---- daemon log\n%s\n", daemon_->Log().c_str());
    }
    daemon_.reset();
    EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
  }

  std::string NotifyPath() const { return dir_ + "/notify"; }
  std::string ConfigPath() const { return dir_ + "/pinion.toml"; }
  std::string Socket() const { return dir_ + "/state/pinion.sock"; }

  void WriteConfig(const std::string& head, const std::string& tail = "") {
    std::ofstream(ConfigPath())
        << head << "root = \"" << dir_ << "/root\"\nstate = \"" << dir_
        << "/state\"\n[metrics]\naddress = \"127.0.0.1:" << port_
        << "\"\n[cgroup]\ndriver = \"cgroupfs\"\ndefault_parent = "
        << "\"/pn-process-test\"\nmissing_controllers = \"ignore\"\n"
        << "[network]\nmode = \"none\"\n"
        << tail;
  }

  std::vector<std::string> Words(
      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {BinaryPath("piniond"), "--config",
                                      ConfigPath()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // A message to the service manager that contains `what`.
  bool Notified(const std::string& what) {
    pollfd ready = {notify_.get(), POLLIN, 0};
    while (poll(&ready, 1, kPatienceMs) == 1) {
      char buffer[4096] = {};
      if (recv(notify_.get(), buffer, sizeof(buffer) - 1, 0) > 0 &&
          absl::StrContains(buffer, what)) {
        return true;
      }
    }
    return false;
  }

  void StartDaemon(const std::vector<std::string>& more_env = {}) {
    std::vector<std::string> env = {"NOTIFY_SOCKET=" + NotifyPath()};
    env.insert(env.end(), more_env.begin(), more_env.end());
    daemon_ =
        std::make_unique<BackgroundProgram>(Words(), env, dir_ + "/daemon.log");
    ASSERT_TRUE(Notified("READY=1"));
  }

  std::string dir_;
  uint16_t port_ = 0;
  os::UniqueFd notify_;
  std::unique_ptr<BackgroundProgram> daemon_;
};

TEST_F(ProcessTest, CheckConfigStartsNothing) {
  const Outcome outcome = RunProgram(Words({"--check-config"}));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, ConfigPath() + ": fine\n");
  EXPECT_NE(access((dir_ + "/root").c_str(), F_OK), 0);
}

TEST_F(ProcessTest, CheckConfigKnowsWhetherSystemdRuns) {
  std::ofstream(ConfigPath()) << "[cgroup]\ndriver = \"systemd\"\n";
  const bool runs = access("/run/systemd/system", F_OK) == 0;
  const Outcome outcome = RunProgram(Words({"--check-config"}));
  EXPECT_EQ(outcome.exit_code, runs ? 0 : 1);
  EXPECT_EQ(absl::StrContains(outcome.output, "cgroup.driver = \"systemd\""),
            !runs)
      << outcome.output;
}

TEST_F(ProcessTest, PinningIsServedOrRefusedAsTheControllersAllow) {
  const auto hierarchy = cgroup::FindHierarchy();
  ASSERT_TRUE(hierarchy.ok()) << hierarchy.status();
  std::ofstream(ConfigPath())
      << "root = \"" << dir_ << "/root\"\nstate = \"" << dir_
      << "/state\"\n[metrics]\naddress = \"127.0.0.1:" << port_
      << "\"\n[cgroup]\ndriver = \"cgroupfs\"\ndefault_parent = "
      << "\"/pn-process-test\"\nmissing_controllers = \"refuse\"\n"
      << "[network]\nmode = \"none\"\n[cpu]\npolicy = \"static\"\n";
  if (absl::c_linear_search(hierarchy->controllers, "cpuset")) {
    StartDaemon();
    const auto metrics =
        tools::HttpGet("127.0.0.1", port_, "/metrics", kPatience);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    EXPECT_THAT(*metrics, HasSubstr("pinion_cpu_exclusive 0"));
    return;
  }
  for (const auto& words : {Words(), Words({"--check-config"})}) {
    const Outcome outcome = RunProgram(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(
        outcome.output,
        HasSubstr("cpu.policy = \"static\" needs the cpuset controller"));
  }
}

TEST_F(ProcessTest, ReservedCpusThatCannotBeAreRefused) {
  const auto present =
      os::ReadFileAt(AT_FDCWD, "/sys/devices/system/cpu/present");
  ASSERT_TRUE(present.ok()) << present.status();
  for (const auto& [reserved, error] :
       {std::pair<std::string, std::string>(
            "0,8191",
            "\"0,8191\" names CPUs that this machine does not have: "
            "8191; name some of "),
        std::pair<std::string, std::string>(
            std::string(absl::StripAsciiWhitespace(*present)),
            "none is left for containers")}) {
    WriteConfig("", absl::StrCat("[cpu]\npolicy = \"static\"\nreserved = \"",
                                 reserved, "\"\n"));
    for (const auto& words : {Words(), Words({"--check-config"})}) {
      const Outcome outcome = RunProgram(words);
      EXPECT_EQ(outcome.exit_code, 1);
      EXPECT_THAT(outcome.output, HasSubstr(error));
    }
  }
}

TEST_F(ProcessTest, CheckConfigDoesNotPraiseAFileThatIsNotThere) {
  if (access(daemon::kDefaultConfigPath, F_OK) == 0) {
    GTEST_SKIP() << "this machine is configured";
  }
  const Outcome outcome = RunProgram({BinaryPath("piniond"), "--check-config"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, absl::StrCat(daemon::kDefaultConfigPath,
                                         ": not there; the defaults are "
                                         "fine\n"));
}

// Which is not known before all of it is read.
TEST_F(ProcessTest, ValuesThatDoNotFitEachOtherOrTheMachine) {
  for (const auto& [toml, error] :
       {std::pair("[cri]\nsocket_group = \"pn-nobodys\"\n",
                  "piniond: cri.socket_group: there is no group pn-nobodys\n"),
        std::pair(
            "[network]\nmode = \"macvlan\"\nrange = \"10.1.2.0/24\"\ngateway = "
            "\"fd00::1\"\n",
            "piniond: network.gateway: fd00::1: network.range has no "
            "IPv6 addresses\n"),
        std::pair("[streaming]\ntls_cert_file = \"/etc/cert.pem\"\n",
                  "piniond: the streaming server: TLS needs both a certificate "
                  "and its key\n")}) {
    ASSERT_TRUE(os::MakeDirs(dir_ + "/pinion.conf.d", 0700).ok());
    ASSERT_TRUE(
        os::ReplaceFileAt(AT_FDCWD, dir_ + "/pinion.conf.d/10.toml", toml, 0600)
            .ok());
    const Outcome outcome = RunProgram(Words({"--check-config"}));
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output, error);
  }
}

TEST_F(ProcessTest, BadConfigurationNamesFileLineAndKey) {
  WriteConfig("log_levle = \"info\"\n");
  for (const std::vector<std::string>& words :
       {Words({"--check-config"}), Words()}) {
    const Outcome outcome = RunProgram(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output,
              absl::StrCat("piniond: ", ConfigPath(),
                           ":1: log_levle: unknown key; did you mean "
                           "log_level?\n"));
  }
}

TEST_F(ProcessTest, UnknownFlagIsAUsageError) {
  const Outcome outcome = RunProgram(Words({"--rooot=/x"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.output, HasSubstr("unknown argument --rooot=/x"));
}

TEST_F(ProcessTest, VersionAndHelp) {
  EXPECT_THAT(RunProgram({BinaryPath("piniond"), "--version"}).output,
              ::testing::StartsWith("piniond 0."));
  const Outcome help = RunProgram({BinaryPath("piniond"), "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.output, HasSubstr("--check-config"));
}

TEST_F(ProcessTest, OutputThatCannotBeWrittenIsAnError) {
  for (const auto& words : {Words({"--check-config"}),
                            {BinaryPath("piniond"), "--help"},
                            {BinaryPath("piniond"), "--version"}}) {
    for (const auto& [redirection, error] :
         {std::pair(">/dev/full", "ENOSPC"), std::pair(">&-", "EBADF")}) {
      std::vector<std::string> shell = {
          "sh", "-c", absl::StrCat("exec \"$@\" ", redirection), "sh"};
      shell.insert(shell.end(), words.begin(), words.end());
      const Outcome outcome = RunProgram(shell);
      EXPECT_EQ(outcome.exit_code, 1) << words.back() << redirection;
      EXPECT_EQ(outcome.output,
                absl::StrCat("piniond: write standard output: ", error, "\n"));
    }
  }
}

TEST_F(ProcessTest, SecondDaemonOnTheSameRootOrStateIsRefused) {
  StartDaemon();
  const std::string by =
      absl::StrCat("another piniond (pid ", daemon_->pid(), ") uses ", dir_);
  const Outcome same = RunProgram(Words());
  EXPECT_EQ(same.exit_code, 1);
  EXPECT_THAT(same.output, HasSubstr(by + "/root;"));
  const Outcome same_state = RunProgram(Words({"--root", dir_ + "/other"}));
  EXPECT_EQ(same_state.exit_code, 1);
  EXPECT_THAT(same_state.output, HasSubstr(by + "/state;"));
  // The first one was not harmed.
  ::runtime::v1::VersionResponse version;
  EXPECT_TRUE(tools::CriClient(Socket())
                  .Call(::runtime::v1::VersionRequest(), &version)
                  .ok());
}

TEST_F(ProcessTest, DirectoriesArePrivateAndTheSocketIsTheGroups) {
  StartDaemon();
  for (const char* name : {"/root", "/state", "/state/pods", "/root/layers"}) {
    EXPECT_EQ(ModeOf(dir_ + name), 0700U) << name;
  }
  EXPECT_EQ(ModeOf(Socket()), 0660U);
}

TEST_F(ProcessTest, SocketGroupGetsThroughToTheSocketOnly) {
  WriteConfig("", "[cri]\nsocket_group = \"nogroup\"\n");
  StartDaemon();
  EXPECT_EQ(ModeOf(dir_ + "/state"), 0710U);
  EXPECT_EQ(ModeOf(dir_ + "/state/pods"), 0700U);
  struct stat state = {};
  struct stat socket = {};
  ASSERT_EQ(stat((dir_ + "/state").c_str(), &state), 0);
  ASSERT_EQ(stat(Socket().c_str(), &socket), 0);
  EXPECT_EQ(state.st_gid, socket.st_gid);
  EXPECT_NE(socket.st_gid, 0U);
}

TEST_F(ProcessTest, UnknownSocketGroupIsASentence) {
  WriteConfig("", "[cri]\nsocket_group = \"no-such-group\"\n");
  const Outcome outcome = RunProgram(Words());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output,
              HasSubstr("cri.socket_group: there is no group no-such-group"));
}

TEST_F(ProcessTest, EndsCleanlyOnSigtermAndSigint) {
  for (const int signal : {SIGTERM, SIGINT}) {
    StartDaemon();
    daemon_->Signal(signal);
    EXPECT_TRUE(Notified("STOPPING=1"));
    EXPECT_EQ(daemon_->Await(kPatience), 0);
    EXPECT_NE(access(Socket().c_str(), F_OK), 0);
  }
}

TEST_F(ProcessTest, StartsAgainAfterSigkill) {
  StartDaemon();
  daemon_->Signal(SIGKILL);
  EXPECT_EQ(daemon_->Await(kPatience), 128 + SIGKILL);
  StartDaemon();
  ::runtime::v1::VersionResponse version;
  EXPECT_TRUE(tools::CriClient(Socket())
                  .Call(::runtime::v1::VersionRequest(), &version)
                  .ok());
}

TEST_F(ProcessTest, SighupAppliesTheLogLevelAndNamesTheRest) {
  StartDaemon();
  WriteConfig("log_level = \"warning\"\nlog_format = \"json\"\n");
  daemon_->Signal(SIGHUP);
  EXPECT_TRUE(Notified("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_TRUE(Notified("READY=1"));
  EXPECT_THAT(daemon_->Log(), HasSubstr("needs a restart (pods go on running) "
                                        "keys=log_format"));
  // From now on only warnings.
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Await(kPatience), 0);
  EXPECT_THAT(daemon_->Log(), ::testing::Not(HasSubstr("stopping;")));
}

TEST_F(ProcessTest, SighupWithABadConfigurationKeepsTheOldOne) {
  StartDaemon();
  WriteConfig("nonsense = 1\n");
  daemon_->Signal(SIGHUP);
  EXPECT_TRUE(Notified("READY=1"));
  EXPECT_THAT(daemon_->Log(), HasSubstr(":1: nonsense: unknown key"));
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Await(kPatience), 0);
}

TEST_F(ProcessTest, FeedsTheWatchdog) {
  StartDaemon({"WATCHDOG_USEC=200000"});
  EXPECT_TRUE(Notified("WATCHDOG=1"));
  EXPECT_TRUE(Notified("WATCHDOG=1"));
}

TEST_F(ProcessTest, MetricsAddressInUseIsASentence) {
  const os::UniqueFd taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(
      bind(taken.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  ASSERT_EQ(listen(taken.get(), 1), 0);
  const Outcome outcome = RunProgram(Words());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output,
              HasSubstr(absl::StrCat("metrics.address: bind 127.0.0.1:", port_,
                                     ": EADDRINUSE")));
}

TEST_F(ProcessTest, MetricsAreCleanForPromtool) {
  if (!HaveProgram("promtool")) GTEST_SKIP() << "needs promtool";
  StartDaemon();
  const tools::CriClient client(Socket());
  ::runtime::v1::StatusResponse status;
  ASSERT_TRUE(client.Call(::runtime::v1::StatusRequest(), &status).ok());
  ::runtime::v1::ContainerStatusRequest unknown;
  unknown.set_container_id("nothing");
  ::runtime::v1::ContainerStatusResponse none;
  EXPECT_FALSE(client.Call(unknown, &none).ok());
  const auto text = tools::HttpGet("127.0.0.1", port_, "/metrics", kPatience);
  ASSERT_TRUE(text.ok()) << text.status();
  const Outcome outcome = RunProgram({"promtool", "check", "metrics"}, *text);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, "");
  for (const char* name :
       {"pinion_build_info{", "process_resident_memory_bytes ",
        "pinion_cri_rpc_requests_total{method=\"Status\"} 1",
        "pinion_cri_rpc_errors_total{code=\"NOT_FOUND\","
        "method=\"ContainerStatus\"} 1",
        "pinion_cri_rpc_duration_seconds_bucket{method=\"Status\""}) {
    EXPECT_THAT(*text, HasSubstr(name));
  }
}

TEST_F(ProcessTest, IdleMemoryIsWithinItsBudget) {
  StartDaemon();
  const auto status = os::ReadFileAt(
      AT_FDCWD, absl::StrCat("/proc/", daemon_->pid(), "/status"));
  ASSERT_TRUE(status.ok());
  const long kib = std::atol(status->c_str() + status->find("VmRSS:") + 6);
  RecordProperty("rss_kib", static_cast<int>(kib));
  EXPECT_GT(kib, 0);
  EXPECT_LE(kib, 30 * 1024);
}

}  // namespace
}  // namespace pinion::testing
