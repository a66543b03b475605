#include "tests/support/daemon_bed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "admin.pb.h"
#include "ipam/pool_reader.h"
#include "tests/support/eventually.h"
#include "tests/support/test_archive.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
namespace fs = std::filesystem;

[[noreturn]] void GiveUp(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

std::string BinDir() {
  const char* dir = std::getenv("PINION_BIN");
  return dir != nullptr ? dir : "build/bin";
}

std::string CgroupRoot() {
  return fs::exists("/sys/fs/cgroup/unified/cgroup.procs")
             ? "/sys/fs/cgroup/unified"
             : "/sys/fs/cgroup";
}

bool in_test_host = false;

}  // namespace

void DaemonBed::EnterTestHost() {
  if (geteuid() != 0) GiveUp("this test needs root");
  if (unshare(CLONE_NEWNET) != 0) GiveUp("unshare network namespace");
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  std::snprintf(request.ifr_name, IFNAMSIZ, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) GiveUp("bring up lo");
  close(fd);
  in_test_host = true;
}

DaemonBed::DaemonBed(const std::string& extra_toml, const std::string& range) {
  if (!in_test_host) GiveUp("EnterTestHost comes first");
  char name[] = "/tmp/pn-bed-XXXXXX";
  if (mkdtemp(name) == nullptr) GiveUp("mkdtemp");
  dir_ = name;
  cgroup_parent_ = "/pinion-test-" + dir_.substr(dir_.size() - 6);
  fs::create_directories(dir_ + "/state");
  fs::create_directories(dir_ + "/logs");
  WriteConfig(extra_toml, range);
  Start();
  StartOver();
}

void DaemonBed::StartOver() { Import(kImage); }

void DaemonBed::Import(const std::string& reference) {
  ImportImage(reference);
  first_pid_ = pid_;
  before_ = testing_support::TakeSnapshot(WhatMustStay());
}

DaemonBed::~DaemonBed() {
  if (pid_ == 0) Start();
  RemoveAll();
  CheckInvariant();
  Terminate();
  if (::testing::Test::HasFailure()) {
    std::fprintf(stderr, "---- daemon log\n%s\n", daemon_log().c_str());
  }
  const std::string cgroup = CgroupRoot() + cgroup_parent_;
  if (fs::exists(cgroup) && rmdir(cgroup.c_str()) != 0) {
    ADD_FAILURE() << "cgroup " << cgroup << " is not empty";
  }
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

testing_support::InvariantOptions DaemonBed::WhatMustStay() const {
  testing_support::InvariantOptions what;
  what.cgroup_parents = {cgroup_parent_};
  what.trees = {state() + "/pods", root() + "/containers", root() + "/layers"};
  what.pid = pid_;
  what.state_dir = state();
  // gRPC's pollers and epoll sets grow with the calls at once, and are kept.
  what.fd_slack = 40;
  what.thread_slack = 400;
  what.extra["address"] = [directory = state() + "/ipam"] {
    std::vector<std::string> owned;
    const auto pools = ipam::ListPools(directory);
    if (!pools.ok()) return owned;
    for (const std::string& pool : *pools) {
      const auto entries = ipam::ReadPool(directory + "/" + pool);
      if (!entries.ok()) continue;
      for (const ipam::PoolEntry& entry : *entries) {
        if (entry.state != ipam::PoolEntry::State::kOwned) continue;
        owned.push_back(entry.address.ToString());
      }
    }
    return owned;
  };
  return what;
}

void DaemonBed::CheckInvariant() {
  if (pid_ != first_pid_) {
    // Another process: its descriptors and threads are its own.
    for (const char* category : {"fd", "thread"}) before_.erase(category);
  }
  auto what = WhatMustStay();
  const auto left = [&] {
    auto now = testing_support::TakeSnapshot(what);
    if (pid_ != first_pid_) {
      for (const char* category : {"fd", "thread"}) now.erase(category);
    }
    return testing_support::Diff(before_, now, what);
  };
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::string difference = left();
  while (!difference.empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    difference = left();
  }
  EXPECT_EQ(difference, "") << "left behind (invariant L)";
}

void DaemonBed::WriteConfig(const std::string& extra_toml,
                            const std::string& range) {
  std::ofstream(dir_ + "/pinion.toml")
      << "log_level = \"debug\"\n"
      << "[metrics]\naddress = \"127.0.0.1:0\"\n"
      << "[cgroup]\ndriver = \"cgroupfs\"\n"
      << "default_parent = \"" << cgroup_parent_ << "\"\n"
      << "missing_controllers = \"ignore\"\n"
      << "[network]\nrange = \"" << range << "\"\n"
      << extra_toml;
}

void DaemonBed::Start() {
  const std::string binary = BinDir() + "/piniond";
  const std::string config = dir_ + "/pinion.toml";
  const std::string root_dir = root();
  const std::string state_dir = state();
  const std::string log = dir_ + "/daemon.log";
  pid_ = fork();
  if (pid_ == 0) {
    // A test that dies must not leave a daemon.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out =
        open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(out, STDERR_FILENO);
    dup2(out, STDOUT_FILENO);
    execl(binary.c_str(), binary.c_str(), "--config", config.c_str(), "--root",
          root_dir.c_str(), "--state", state_dir.c_str(), nullptr);
    _exit(127);
  }
  if (pid_ < 0) GiveUp("fork");
  client_ = std::make_unique<tools::CriClient>(socket());
  const absl::Status ready = client_->AwaitReady(std::chrono::seconds(60));
  if (!ready.ok()) {
    std::fprintf(stderr, "piniond did not start:\n%s\n", daemon_log().c_str());
    Kill();
    GiveUp("start piniond");
  }
}

void DaemonBed::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

int DaemonBed::Terminate() {
  if (pid_ == 0) return 0;
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string DaemonBed::daemon_log() const {
  std::ifstream file(dir_ + "/daemon.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void DaemonBed::ImportImage(const std::string& reference) {
  admin::v1::ImportImageRequest request;
  request.set_path(TestArchive(reference));
  admin::v1::ImportImageResponse response;
  const absl::Status status = client_->Call(request, &response);
  if (!status.ok()) {
    std::fprintf(stderr, "import: %s\n%s\n", status.ToString().c_str(),
                 daemon_log().c_str());
    GiveUp("import a test image");
  }
}

cri::PodSandboxConfig DaemonBed::PodConfig(const std::string& name) const {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_uid(name + "-uid");
  config.mutable_metadata()->set_namespace_("test");
  config.set_hostname(name);
  config.set_log_directory(dir_ + "/logs/" + name);
  config.mutable_dns_config()->add_servers("10.96.0.10");
  config.mutable_dns_config()->add_searches("test.svc.cluster.local");
  auto* namespaces = config.mutable_linux()
                         ->mutable_security_context()
                         ->mutable_namespace_options();
  namespaces->set_pid(cri::CONTAINER);
  fs::create_directories(config.log_directory());
  return config;
}

cri::ContainerConfig DaemonBed::ContainerConfig(
    const std::string& name, const std::vector<std::string>& command) const {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(kImage);
  for (const std::string& word : command) config.add_command(word);
  config.set_log_path(name + ".log");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::CONTAINER);
  return config;
}

std::string DaemonBed::RunPod(const cri::PodSandboxConfig& config) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  cri::RunPodSandboxResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "RunPodSandbox: " << status;
  return response.pod_sandbox_id();
}

std::string DaemonBed::Create(const std::string& pod,
                              const cri::PodSandboxConfig& pod_config,
                              const cri::ContainerConfig& config) {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod);
  *request.mutable_config() = config;
  *request.mutable_sandbox_config() = pod_config;
  cri::CreateContainerResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "CreateContainer: " << status;
  return response.container_id();
}

void DaemonBed::StartContainer(const std::string& id) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  cri::StartContainerResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "StartContainer: " << status;
}

std::string DaemonBed::RunContainer(const std::string& pod,
                                    const cri::PodSandboxConfig& pod_config,
                                    const cri::ContainerConfig& config) {
  const std::string id = Create(pod, pod_config, config);
  if (!id.empty()) StartContainer(id);
  return id;
}

cri::ContainerStatus DaemonBed::Status(const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  cri::ContainerStatusResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "ContainerStatus: " << status;
  return response.status();
}

cri::PodSandboxStatus DaemonBed::PodStatus(const std::string& id) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  cri::PodSandboxStatusResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "PodSandboxStatus: " << status;
  return response.status();
}

cri::ContainerStatus DaemonBed::AwaitExit(const std::string& id) {
  // The CRI has no call that waits for an exit; it is polled, bounded.
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (true) {
    cri::ContainerStatus status = Status(id);
    if (status.state() == cri::CONTAINER_EXITED) return status;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "container " << id << " has not ended";
      return status;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

cri::ExecSyncResponse DaemonBed::Exec(const std::string& id,
                                      const std::vector<std::string>& command) {
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_timeout(60);
  cri::ExecSyncResponse response;
  const absl::Status status = client_->Call(request, &response);
  EXPECT_TRUE(status.ok()) << "ExecSync: " << status;
  return response;
}

absl::Status DaemonBed::StopPod(const std::string& id) {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  cri::StopPodSandboxResponse response;
  return client_->Call(request, &response);
}

absl::Status DaemonBed::RemovePod(const std::string& id) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  cri::RemovePodSandboxResponse response;
  return client_->Call(request, &response);
}

void DaemonBed::RemoveAll() {
  cri::ListPodSandboxResponse pods;
  const absl::Status listed =
      client_->Call(cri::ListPodSandboxRequest(), &pods);
  EXPECT_TRUE(listed.ok()) << listed;
  for (const auto& pod : pods.items()) {
    const absl::Status stopped = StopPod(pod.id());
    EXPECT_TRUE(stopped.ok()) << stopped;
    const absl::Status removed = RemovePod(pod.id());
    EXPECT_TRUE(removed.ok()) << removed;
  }
}

void DaemonBed::AwaitLog(const std::string& pod_name,
                         const std::string& container_name) const {
  EXPECT_TRUE(testing_support::Eventually([&] {
    return !LogLines(pod_name, container_name).empty();
  })) << "nothing in the log of "
      << pod_name << "/" << container_name;
}

std::vector<std::string> DaemonBed::LogLines(
    const std::string& pod_name, const std::string& container_name) const {
  std::ifstream file(dir_ + "/logs/" + pod_name + "/" + container_name +
                     ".log");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    // "TIME STREAM TAG MESSAGE"
    size_t at = 0;
    for (int i = 0; i < 3 && at != std::string::npos; ++i) {
      at = line.find(' ', at == 0 ? 0 : at + 1);
    }
    lines.push_back(at == std::string::npos ? line : line.substr(at + 1));
  }
  return lines;
}

}  // namespace pinion::testing
