// cpu.policy = "static" with a real daemon: grants, refusals, the record, the
// daemon's own CPUs. Whether cpusets hold is checked in the VM, where there is
// a controller (tests/vm/suites/cpu.sh).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "admin.pb.h"
#include "base/cpu_set.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using ::testing::HasSubstr;

constexpr char kStatic[] = "[cpu]\npolicy = \"static\"\nreserved = \"0\"\n";

// The CPUs that the threads of a process may use, each list once.
std::set<std::string> AllowedOf(pid_t pid) {
  std::set<std::string> lists;
  const std::string tasks = absl::StrCat("/proc/", pid, "/task");
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      const std::string key = "Cpus_allowed_list:\t";
      if (absl::StartsWith(line, key)) lists.insert(line.substr(key.size()));
    }
  }
  return lists;
}

// "pid" of the information that a verbose status comes with.
pid_t PidIn(const std::string& info) {
  const std::string key = "\"pid\":";
  const size_t at = info.find(key);
  return at == std::string::npos ? 0 : std::stoi(info.substr(at + key.size()));
}

class CpusTest : public ::testing::Test {
 protected:
  explicit CpusTest(const std::string& config = kStatic) : bed_(config) {}

  admin::v1::CpusResponse Cpus() {
    admin::v1::CpusResponse response;
    const absl::Status status =
        bed_.client().Call(admin::v1::CpusRequest(), &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  // What creating a container with `quota` in the pod says; its id in id_.
  absl::Status Create(int64_t quota) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod_);
    *request.mutable_sandbox_config() = pod_config_;
    *request.mutable_config() =
        bed_.ContainerConfig(absl::StrCat("app", serial_++), {"sleep", "600"});
    request.mutable_config()
        ->mutable_linux()
        ->mutable_resources()
        ->set_cpu_quota(quota);
    cri::CreateContainerResponse response;
    const absl::Status status = bed_.client().Call(request, &response);
    id_ = response.container_id();
    return status;
  }

  void RunPod(const std::string& name, const std::string& key = "",
              const std::string& value = "") {
    pod_config_ = bed_.PodConfig(name);
    if (!key.empty()) {
      (*pod_config_.mutable_annotations())["cpu.pinion.dev/" + key] = value;
    }
    pod_ = bed_.RunPod(pod_config_);
  }

  // A restart with another cpu.policy than the one it has.
  void Restart(const std::string& from, const std::string& to) {
    const std::string path = bed_.dir() + "/pinion.toml";
    std::ifstream stream(path);
    const std::string toml((std::istreambuf_iterator<char>(stream)),
                           std::istreambuf_iterator<char>());
    const auto policy = [](const std::string& name) {
      return absl::StrCat("policy = \"", name, "\"");
    };
    ASSERT_THAT(toml, HasSubstr(policy(from)));
    std::ofstream(path) << absl::StrReplaceAll(toml,
                                               {{policy(from), policy(to)}});
    bed_.Kill();
    bed_.Start();
    EXPECT_EQ(Cpus().policy(), to);
  }

  absl::Status Update(const cri::LinuxContainerResources& resources) {
    cri::UpdateContainerResourcesRequest request;
    request.set_container_id(id_);
    *request.mutable_linux() = resources;
    cri::UpdateContainerResourcesResponse response;
    return bed_.client().Call(request, &response);
  }

  DaemonBed bed_;
  cri::PodSandboxConfig pod_config_;
  std::string pod_;
  std::string id_;
  int serial_ = 0;
};

// CPU 0 is reserved, so one more is needed: every machine for tests has two.
TEST_F(CpusTest, WholeCpusAreTheContainersOwnUntilItEnds) {
  const CpuSet all = *CpuSet::Parse(Cpus().shared());
  RunPod("pinned");
  ASSERT_TRUE(Create(100000).ok());
  const std::string owner = id_;
  ASSERT_EQ(Cpus().owners_size(), 1);
  EXPECT_EQ(Cpus().owners(0).container_id(), owner);
  EXPECT_EQ(Cpus().owners(0).pod_name(), "pinned");
  EXPECT_EQ(Cpus().policy(), "static");
  EXPECT_EQ(CpuSet::Parse(Cpus().shared())->size(), all.size() - 1);
  bed_.StartContainer(owner);

  const absl::Status status = Create(static_cast<int64_t>(all.size()) * 100000);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("do not fit"));
  EXPECT_EQ(Cpus().owners_size(), 1);

  const std::string cpus = Cpus().owners(0).cpus();
  bed_.Kill();
  bed_.Start();
  ASSERT_EQ(Cpus().owners_size(), 1);
  EXPECT_EQ(Cpus().owners(0).cpus(), cpus);
  EXPECT_EQ(Cpus().owners(0).container_id(), owner);

  cri::StopContainerRequest stop;
  stop.set_container_id(owner);
  cri::StopContainerResponse stopped;
  ASSERT_TRUE(bed_.client().Call(stop, &stopped).ok());
  EXPECT_EQ(Cpus().owners_size(), 0);
  EXPECT_EQ(Cpus().shared(), all.ToString());
}

TEST_F(CpusTest, WhatNeverRanGivesThemBackToo) {
  RunPod("removed");
  ASSERT_TRUE(Create(100000).ok());
  cri::RemoveContainerRequest remove;
  remove.set_container_id(id_);
  cri::RemoveContainerResponse removed;
  ASSERT_TRUE(bed_.client().Call(remove, &removed).ok());
  EXPECT_EQ(Cpus().owners_size(), 0);
  ASSERT_TRUE(Create(100000).ok());
  ASSERT_TRUE(bed_.StopPod(pod_).ok());
  EXPECT_EQ(Cpus().owners_size(), 0);
  bed_.Kill();
  bed_.Start();
  EXPECT_EQ(Cpus().owners_size(), 0) << "it can never start";
}

TEST_F(CpusTest, OnesThatEndedWhileNoDaemonRanGiveThemBack) {
  RunPod("ended");
  ASSERT_TRUE(Create(100000).ok());
  bed_.StartContainer(id_);
  cri::ContainerStatusRequest request;
  request.set_container_id(id_);
  request.set_verbose(true);
  cri::ContainerStatusResponse response;
  ASSERT_TRUE(bed_.client().Call(request, &response).ok());
  const pid_t pid = PidIn(response.info().at("info"));
  ASSERT_GT(pid, 1);
  bed_.Kill();
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  bed_.Start();
  EXPECT_TRUE(testing_support::Eventually(
      [this] { return Cpus().owners_size() == 0; }));
}

// Whoever changed a container's CPUs while nobody pinned is obeyed.
TEST_F(CpusTest, AGrantIsLostToWhatWasAskedForMeanwhile) {
  RunPod("between");
  ASSERT_TRUE(Create(100000).ok());
  bed_.StartContainer(id_);
  Restart("static", "none");
  Restart("none", "static");
  EXPECT_EQ(Cpus().owners_size(), 1) << "nothing was changed";
  const std::string shared = Cpus().shared();

  cri::LinuxContainerResources named;
  named.set_cpuset_cpus("0");
  cri::LinuxContainerResources half;
  half.set_cpu_quota(50000);
  for (const auto& resources : {named, half}) {
    Restart("static", "none");
    ASSERT_TRUE(Update(resources).ok());
    Restart("none", "static");
    EXPECT_EQ(Cpus().owners_size(), 0) << resources.DebugString();
    EXPECT_NE(Cpus().shared(), shared);
    bed_.Kill();
    bed_.Start();
    EXPECT_EQ(Cpus().owners_size(), 0) << "and the record says so";
    // For the other way of losing it.
    ASSERT_TRUE(Create(100000).ok());
    bed_.StartContainer(id_);
    EXPECT_EQ(Cpus().owners_size(), 1);
  }
}

TEST_F(CpusTest, WhoseCallerNamesCpusOfAnotherIsShownBesideIt) {
  RunPod("pinned");
  ASSERT_TRUE(Create(100000).ok());
  const std::string owner = id_;
  EXPECT_EQ(Cpus().owners(0).shared_with_size(), 0);
  ASSERT_TRUE(Create(0).ok());
  bed_.StartContainer(id_);
  EXPECT_EQ(Cpus().owners(0).shared_with_size(), 0) << "of the pool";
  cri::LinuxContainerResources named;
  named.set_cpuset_cpus(Cpus().owners(0).cpus());
  ASSERT_TRUE(Update(named).ok());
  const auto cpus = Cpus();
  ASSERT_EQ(cpus.owners_size(), 1);
  EXPECT_EQ(cpus.owners(0).container_id(), owner);
  ASSERT_EQ(cpus.owners(0).shared_with_size(), 1);
  EXPECT_THAT(cpus.owners(0).shared_with(0), HasSubstr("/pinned/app1"));
  named.set_cpuset_cpus("0");
  ASSERT_TRUE(Update(named).ok());
  EXPECT_EQ(Cpus().owners(0).shared_with_size(), 0);
}

TEST_F(CpusTest, AnnotationsAskAndAreChecked) {
  RunPod("asks", "cpus", "1");
  EXPECT_TRUE(Create(0).ok());
  EXPECT_EQ(Cpus().owners_size(), 1);
  RunPod("typo", "cpu", "1");
  EXPECT_TRUE(absl::IsInvalidArgument(Create(0)));
  RunPod("nonsense", "cpus", "many");
  EXPECT_TRUE(absl::IsInvalidArgument(Create(0)));
  RunPod("nowhere", "node", "77");
  EXPECT_TRUE(absl::IsInvalidArgument(Create(100000)));
  RunPod("isolated", "isolation", "partition");
  // No cpuset controller here; what is made of it: tests/vm/suites/cpu.sh.
  EXPECT_TRUE(absl::IsFailedPrecondition(Create(100000)));
  EXPECT_EQ(Cpus().owners_size(), 1);
}

// Growing and shrinking: tests/vm/suites/cpu.sh, on more CPUs.
TEST_F(CpusTest, ARefusedResizeChangesNothing) {
  RunPod("resized");
  ASSERT_TRUE(Create(100000).ok());
  const std::string before = Cpus().DebugString();
  cri::UpdateContainerResourcesRequest request;
  request.set_container_id(id_);
  request.mutable_linux()->set_memory_limit_in_bytes(64 << 20);
  cri::UpdateContainerResourcesResponse response;
  EXPECT_TRUE(bed_.client().Call(request, &response).ok());
  request.mutable_linux()->set_cpu_quota(50000);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(bed_.client().Call(request, &response)));
  const int64_t all = Cpus().cpus_size();
  request.mutable_linux()->set_cpu_quota(all * 100000);
  const absl::Status status = bed_.client().Call(request, &response);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr(absl::StrCat(all - 1, " more exclusive CPUs do not fit")));
  request.mutable_linux()->set_cpu_quota(0);
  request.mutable_linux()->set_cpuset_cpus("0");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(bed_.client().Call(request, &response)));
  EXPECT_EQ(Cpus().DebugString(), before);
}

TEST_F(CpusTest, DaemonAndMonitorsStayOnTheReservedCpusContainersDoNot) {
  EXPECT_EQ(AllowedOf(bed_.pid()), std::set<std::string>{"0"});
  RunPod("free");
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod_);
  request.set_verbose(true);
  cri::PodSandboxStatusResponse response;
  ASSERT_TRUE(bed_.client().Call(request, &response).ok());
  const pid_t monitor = PidIn(response.info().at("info"));
  ASSERT_GT(monitor, 1);
  EXPECT_EQ(AllowedOf(monitor), std::set<std::string>{"0"});
  ASSERT_TRUE(Create(0).ok());
  bed_.StartContainer(id_);
  EXPECT_THAT(
      bed_.Exec(id_, {"grep", "Cpus_allowed_list", "/proc/1/status"}).stdout(),
      HasSubstr(Cpus().shared()));
  EXPECT_THAT(bed_.Exec(id_, {"grep", "Cpus_allowed_list", "/proc/self/status"})
                  .stdout(),
              HasSubstr(Cpus().shared()));
}

class NoPolicyTest : public CpusTest {
 protected:
  NoPolicyTest() : CpusTest("") {}
};

TEST_F(NoPolicyTest, EverythingIsSharedAndAnnotationsAreRefused) {
  RunPod("plain");
  EXPECT_TRUE(Create(100000).ok());
  EXPECT_EQ(Cpus().policy(), "none");
  EXPECT_EQ(Cpus().owners_size(), 0);
  EXPECT_GT(Cpus().cpus_size(), 0);
  RunPod("asks", "cpus", "1");
  EXPECT_TRUE(absl::IsFailedPrecondition(Create(0)));
}

}  // namespace
}  // namespace pinion::testing
