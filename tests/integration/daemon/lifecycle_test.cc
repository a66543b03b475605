// A pod's life through the CRI, on the real kernel.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "os/sqlite.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using testing_support::DoesNotWait;
using testing_support::Eventually;

size_t MountLines() {
  std::ifstream file("/proc/self/mountinfo");
  return static_cast<size_t>(
      std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

TEST(LifecycleTest, APodRunsAndGoes) {
  DaemonBed bed;
  const auto pod_config = bed.PodConfig("web");
  const std::string pod = bed.RunPod(pod_config);
  const auto status = bed.PodStatus(pod);
  EXPECT_EQ(status.state(), cri::SANDBOX_READY);
  EXPECT_EQ(status.metadata().name(), "web");
  EXPECT_FALSE(status.network().ip().empty());

  const std::string id =
      bed.RunContainer(pod, pod_config,
                       bed.ContainerConfig("app", {"sh", "-c",
                                                   "echo out; echo err >&2; "
                                                   "exec sleep 1000"}));
  auto container = bed.Status(id);
  EXPECT_EQ(container.state(), cri::CONTAINER_RUNNING);
  EXPECT_GT(container.started_at(), container.created_at());
  EXPECT_EQ(container.image_id(), container.image_ref().empty()
                                      ? container.image_id()
                                      : container.image_id());

  // Whoever is started says what it says, and becomes what it becomes, later.
  EXPECT_TRUE(Eventually([&] {
    return bed.Exec(id, {"cat", "/proc/1/comm"}).stdout() == "sleep\n";
  }));
  const auto exec = bed.Exec(
      id, {"sh", "-c", "cat /etc/hostname; cat /proc/1/comm >&2; exit 7"});
  EXPECT_EQ(exec.stdout(), "web\n");
  EXPECT_EQ(exec.stderr(), "sleep\n");
  EXPECT_EQ(exec.exit_code(), 7);

  cri::StopContainerRequest stop;
  stop.set_container_id(id);
  stop.set_timeout(0);
  cri::StopContainerResponse stopped;
  ASSERT_TRUE(bed.client().Call(stop, &stopped).ok());
  ASSERT_TRUE(bed.client().Call(stop, &stopped).ok()) << "idempotent";
  container = bed.Status(id);
  EXPECT_EQ(container.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(container.exit_code(), 137);
  EXPECT_EQ(container.reason(), "Error");
  // Of two streams: in no order.
  EXPECT_THAT(bed.LogLines("web", "app"), UnorderedElementsAre("out", "err"));

  EXPECT_TRUE(bed.StopPod(pod).ok());
  EXPECT_TRUE(bed.StopPod(pod).ok()) << "idempotent";
  EXPECT_EQ(bed.PodStatus(pod).state(), cri::SANDBOX_NOTREADY);
  EXPECT_TRUE(bed.RemovePod(pod).ok());
  EXPECT_TRUE(bed.RemovePod(pod).ok()) << "idempotent";
  cri::PodSandboxStatusRequest gone;
  gone.set_pod_sandbox_id(pod);
  cri::PodSandboxStatusResponse response;
  EXPECT_EQ(bed.client().Call(gone, &response).code(),
            absl::StatusCode::kNotFound);
}

TEST(LifecycleTest, ExitCodesAndReasonsAreReported) {
  DaemonBed bed;
  const auto pod_config = bed.PodConfig("exits");
  const std::string pod = bed.RunPod(pod_config);
  const auto run = [&](const std::string& name, const std::string& script) {
    return bed.AwaitExit(bed.RunContainer(
        pod, pod_config, bed.ContainerConfig(name, {"sh", "-c", script})));
  };
  const auto fine = run("fine", "exit 0");
  EXPECT_EQ(fine.exit_code(), 0);
  EXPECT_EQ(fine.reason(), "Completed");
  EXPECT_GE(fine.finished_at(), fine.started_at());
  const auto failed = run("failed", "exit 42");
  EXPECT_EQ(failed.exit_code(), 42);
  EXPECT_EQ(failed.reason(), "Error");
  EXPECT_EQ(run("signalled", "sh -c 'kill -TERM $$'; exit $?").exit_code(),
            143);
}

TEST(LifecycleTest, AContainerThatCannotStartSaysWhy) {
  DaemonBed bed;
  const auto pod_config = bed.PodConfig("nope");
  const std::string pod = bed.RunPod(pod_config);
  const std::string id =
      bed.Create(pod, pod_config, bed.ContainerConfig("app", {"/nope"}));
  cri::StartContainerRequest start;
  start.set_container_id(id);
  cri::StartContainerResponse response;
  const absl::Status status = bed.client().Call(start, &response);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("exec /nope: ENOENT"),
            std::string::npos)
      << status;
  const auto container = bed.Status(id);
  EXPECT_EQ(container.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(container.reason(), "StartError");
  EXPECT_NE(container.message().find("exec /nope: ENOENT"), std::string::npos);
  EXPECT_EQ(container.exit_code(), 128);
  EXPECT_EQ(bed.client().Call(start, &response).message(),
            "container " + id + " has ended: StartError: exec /nope: ENOENT");

  // Nor does the monitor keep anything of what it could not start: a pod may
  // try for weeks.
  const std::string exits = bed.state() + "/pods/" + pod + "/exits/";
  EXPECT_TRUE(std::filesystem::exists(exits + id));
  cri::RemoveContainerRequest remove;
  remove.set_container_id(id);
  cri::RemoveContainerResponse removed;
  EXPECT_TRUE(bed.client().Call(remove, &removed).ok());
  EXPECT_FALSE(std::filesystem::exists(exits + id));
}

// As on a full disk: no record can be updated, but rows can be taken out.
TEST(LifecycleTest, StopAndRemoveWorkWhileNoRecordCanBeWritten) {
  DaemonBed bed;
  const auto config = bed.PodConfig("full");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  const auto db =
      os::Database::Open(bed.root() + "/state.db", os::Database::Sync::kNormal);
  ASSERT_TRUE(db.ok()) << db.status();
  for (const std::string table : {"runtime_pods", "runtime_containers"}) {
    ASSERT_TRUE((*db)
                    ->Execute("CREATE TRIGGER full_" + table +
                              " BEFORE UPDATE ON " + table +
                              " BEGIN SELECT RAISE(ABORT, 'full'); END")
                    .ok());
  }
  EXPECT_TRUE(bed.StopPod(pod).ok());
  EXPECT_EQ(bed.Status(id).state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(bed.PodStatus(pod).state(), cri::SANDBOX_NOTREADY);
  cri::RemoveContainerRequest remove;
  remove.set_container_id(id);
  cri::RemoveContainerResponse removed;
  EXPECT_TRUE(bed.client().Call(remove, &removed).ok());
  EXPECT_FALSE(std::filesystem::exists(bed.root() + "/containers/" + id));
  EXPECT_TRUE(bed.RemovePod(pod).ok());
}

TEST(LifecycleTest, ManyPodsLeaveTheHostsMountTableAlone) {
  DaemonBed bed;
  const size_t before = MountLines();
  std::vector<std::thread> threads;
  std::vector<std::string> pods(100);
  for (size_t i = 0; i < pods.size(); ++i) {
    threads.emplace_back([&bed, &pods, i] {
      const auto config = bed.PodConfig("many-" + std::to_string(i));
      pods[i] = bed.RunPod(config);
      bed.RunContainer(pods[i], config,
                       bed.ContainerConfig("app", {"sleep", "1000"}));
    });
  }
  for (auto& thread : threads) thread.join();
  // The table is the machine's: another program may mount something in it.
  EXPECT_TRUE(Eventually([before] { return MountLines() == before; }))
      << before << " → " << MountLines();
  std::set<std::string> addresses;
  for (const std::string& pod : pods) {
    EXPECT_TRUE(addresses.insert(bed.PodStatus(pod).network().ip()).second)
        << "an address was given twice";
  }
  bed.RemoveAll();
  EXPECT_TRUE(Eventually([before] { return MountLines() == before; }))
      << before << " → " << MountLines();
}

TEST(LifecycleTest, DuplicatesAtOnceMakeOneObject) {
  DaemonBed bed;
  const auto config = bed.PodConfig("twin");
  std::vector<std::string> pods(100);
  std::vector<std::thread> threads;
  for (std::string& pod : pods) {
    threads.emplace_back([&] { pod = bed.RunPod(config); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(pods.begin(), pods.end()).size(), 1U);
  threads.clear();
  std::vector<std::string> containers(100);
  for (std::string& container : containers) {
    threads.emplace_back([&] {
      container = bed.Create(pods[0], config,
                             bed.ContainerConfig("app", {"sleep", "1000"}));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(containers.begin(), containers.end()).size(),
            1U);
  threads.clear();
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&] { bed.StartContainer(containers[0]); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bed.Status(containers[0]).state(), cri::CONTAINER_RUNNING);
}

TEST(LifecycleTest, StopSendsTheSignalThenKills) {
  DaemonBed bed;
  const auto config = bed.PodConfig("graceful");
  const std::string pod = bed.RunPod(config);
  auto polite =
      bed.ContainerConfig("polite", {"sh", "-c",
                                     "trap 'echo bye; exit 3' USR1; echo up; "
                                     "while :; do sleep 0.05; done"});
  polite.set_stop_signal(cri::SIGNAL_SIGUSR1);
  const std::string id = bed.RunContainer(pod, config, polite);
  bed.AwaitLog("graceful", "polite");
  cri::StopContainerRequest stop;
  stop.set_container_id(id);
  stop.set_timeout(60);
  cri::StopContainerResponse response;
  ASSERT_TRUE(bed.client().Call(stop, &response).ok());
  EXPECT_EQ(bed.Status(id).exit_code(), 3);
  EXPECT_EQ(bed.LogLines("graceful", "polite").back(), "bye");

  const std::string stubborn = bed.RunContainer(
      pod, config,
      bed.ContainerConfig("stubborn", {"sh", "-c",
                                       "trap '' TERM; echo up; "
                                       "while :; do sleep 0.05; done"}));
  bed.AwaitLog("graceful", "stubborn");
  stop.set_container_id(stubborn);
  stop.set_timeout(1);
  ASSERT_TRUE(bed.client().Call(stop, &response).ok());
  EXPECT_EQ(bed.Status(stubborn).exit_code(), 137);
}

TEST(LifecycleTest, ExecTimesOutWithItsWholeTree) {
  DaemonBed bed;
  const auto config = bed.PodConfig("exec");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  for (const char* word : {"sh", "-c", "(sleep 4321 &) ; sleep 4321"}) {
    request.add_cmd(word);
  }
  request.set_timeout(1);
  cri::ExecSyncResponse response;
  EXPECT_EQ(bed.client().Call(request, &response).code(),
            absl::StatusCode::kDeadlineExceeded);
  // All were sent SIGKILL; each dies when it has its turn.
  EXPECT_TRUE(Eventually([&] {
    return bed.Exec(id, {"sh", "-c", "ps | grep -c '[s]leep 4321'"}).stdout() ==
           "0\n";
  }));
}

// Writers that together are faster than any reader: the time-out is kept.
TEST(LifecycleTest, AnExecThatWritesWithoutEndTimesOut) {
  DaemonBed bed;
  const auto config = bed.PodConfig("flood");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  for (const char* word :
       {"sh", "-c",
        "for i in 1 2 3 4 5 6 7 8; do cat /dev/zero & done; cat /dev/zero"}) {
    request.add_cmd(word);
  }
  request.set_timeout(1);
  // One second, and what it takes to kill them all.
  EXPECT_TRUE(DoesNotWait(std::chrono::seconds(10), [&](const auto&) {
    cri::ExecSyncResponse response;
    const absl::Status status = bed.client().Call(request, &response);
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    // The daemon's words: it was not the client who gave up, minutes later.
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("command timed out after 1 s"));
  }));
}

TEST(LifecycleTest, AGrandchildThatKeepsStdoutDoesNotHoldAnExec) {
  DaemonBed bed;
  const auto config = bed.PodConfig("daemonize");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  const auto result = bed.Exec(id, {"sh", "-c", "sleep 4322 & echo done"});
  EXPECT_EQ(result.stdout(), "done\n");
  EXPECT_EQ(result.exit_code(), 0);
  const auto left = bed.Exec(id, {"sh", "-c", "ps | grep -c '[s]leep 4322'"});
  EXPECT_EQ(left.stdout(), "1\n") << "a hook's daemon goes on";
}

TEST(LifecycleTest, ExecOutputIsBounded) {
  DaemonBed bed;
  const auto config = bed.PodConfig("loud");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  const auto result = bed.Exec(id, {"dd", "if=/dev/zero", "bs=1M", "count=20"});
  // 16 MB (CRI), and the message around them at most 16 MiB.
  EXPECT_GE(result.stdout().size(), 16'000'000U);
  EXPECT_LE(result.ByteSizeLong(), size_t{16} << 20);
  EXPECT_EQ(result.exit_code(), 0) << "the writer is not blocked";
}

TEST(LifecycleTest, LogsCanBeRotated) {
  DaemonBed bed;
  const auto config = bed.PodConfig("rotate");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.RunContainer(
      pod, config,
      bed.ContainerConfig("app", {"sh", "-c",
                                  "echo one; while [ ! -e /go ]; "
                                  "do sleep 0.02; done; echo two; "
                                  "sleep 1000"}));
  bed.AwaitLog("rotate", "app");
  const std::string log = bed.dir() + "/logs/rotate/app.log";
  std::filesystem::rename(log, log + ".1");
  cri::ReopenContainerLogRequest reopen;
  reopen.set_container_id(id);
  cri::ReopenContainerLogResponse response;
  ASSERT_TRUE(bed.client().Call(reopen, &response).ok());
  bed.Exec(id, {"touch", "/go"});
  bed.AwaitLog("rotate", "app");
  EXPECT_EQ(bed.LogLines("rotate", "app"), std::vector<std::string>{"two"});
}

}  // namespace
}  // namespace pinion::testing
