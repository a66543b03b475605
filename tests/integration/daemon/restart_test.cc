// piniond dies; its pods do not notice.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "os/detached_mount.h"
#include "os/file.h"
#include "os/process.h"
#include "os/spawn.h"
#include "os/sqlite.h"
#include "state.pb.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using testing_support::DoesNotWait;

struct Ids {
  std::string pod;
  std::string container;
  std::string name;
};

// The container's first process on the host, from the verbose status.
pid_t InitPid(DaemonBed& bed, const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(true);
  cri::ContainerStatusResponse response;
  const absl::Status status = bed.client().Call(request, &response);
  EXPECT_TRUE(status.ok()) << status;
  const std::string& info = response.info().at("info");
  const size_t at = info.find("\"pid\":");
  EXPECT_NE(at, std::string::npos) << info;
  return std::atoi(info.c_str() + at + 6);
}

// The monitor's process id, from the verbose status.
pid_t MonitorPid(DaemonBed& bed, const std::string& pod) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod);
  request.set_verbose(true);
  cri::PodSandboxStatusResponse response;
  const absl::Status status = bed.client().Call(request, &response);
  EXPECT_TRUE(status.ok()) << status;
  const std::string& info = response.info().at("info");
  const size_t at = info.find("\"pid\":");
  EXPECT_NE(at, std::string::npos) << info;
  return std::atoi(info.c_str() + at + 6);
}

// Of a bed whose daemon does not run and whose table has one row.
template <typename Record>
void ChangeOnlyRecord(const DaemonBed& bed, const std::string& table,
                      const std::function<void(Record&)>& change) {
  const auto db =
      os::Database::Open(bed.root() + "/state.db", os::Database::Sync::kNormal);
  ASSERT_TRUE(db.ok()) << db.status();
  Record record;
  ASSERT_TRUE((*db)
                  ->Query("SELECT record FROM " + table, {},
                          [&record](const os::SqlRow& row) {
                            EXPECT_TRUE(record.ParseFromString(row.Text(0)));
                          })
                  .ok());
  change(record);
  const std::string bytes = record.SerializeAsString();
  ASSERT_TRUE(
      (*db)
          ->Execute("UPDATE " + table + " SET record = ?", {os::SqlBlob{bytes}})
          .ok());
}

void ChangeOnlyPodRecord(const DaemonBed& bed,
                         const std::function<void(state::PodRecord&)>& change) {
  ChangeOnlyRecord<state::PodRecord>(bed, "runtime_pods", change);
}

// The daemon had answered StartContainer, and died before it wrote that down.
void ForgetOnlyStart(const DaemonBed& bed) {
  ChangeOnlyRecord<state::ContainerRecord>(
      bed, "runtime_containers", [](state::ContainerRecord& record) {
        record.set_state(state::CONTAINER_CREATED);
        record.clear_started_at_ns();
        record.clear_pid();
        record.clear_pid_start_ticks();
      });
}

// A pod with one container that does nothing.
struct Sleeper {
  std::string pod;
  std::string container;
};

Sleeper RunSleeper(DaemonBed& bed, const std::string& name) {
  const auto config = bed.PodConfig(name);
  Sleeper sleeper;
  sleeper.pod = bed.RunPod(config);
  sleeper.container = bed.RunContainer(
      sleeper.pod, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  return sleeper;
}

// The CRI has no call that waits for a pod's end; it is polled, bounded.
bool AwaitNotReady(DaemonBed& bed, const std::string& pod) {
  return testing_support::Eventually(
      [&] { return bed.PodStatus(pod).state() == cri::SANDBOX_NOTREADY; });
}

// The process has ended: it is gone, or a zombie whose new parent (the
// machine's own init) has not reaped it yet.
bool Ended(pid_t pid, uint64_t ticks) {
  return testing_support::Eventually([pid, ticks] {
    if (os::ProcessStartTicks(pid).value_or(0) != ticks) return true;
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(stat, text);
    const size_t end = text.rfind(") ");
    return end != std::string::npos && text[end + 2] == 'Z';
  });
}

TEST(RestartTest, TwentyLogWritersSurviveASigkill) {
  DaemonBed bed;
  constexpr int kContainers = 20;
  constexpr int kLines = 400;
  std::vector<Ids> all;
  std::map<std::string, uint64_t> started;
  // Nobody ends before the daemon was killed, however slow the machine is.
  const std::string gate = bed.dir() + "/gate";
  std::filesystem::create_directories(gate);
  for (int i = 0; i < kContainers; ++i) {
    Ids ids;
    ids.name = "writer-" + std::to_string(i);
    const auto config = bed.PodConfig(ids.name);
    ids.pod = bed.RunPod(config);
    // The even ones end by themselves with their own code.
    const std::string end =
        i % 2 == 0 ? "while [ ! -e /gate/open ]; do sleep 0.02; done; exit " +
                         std::to_string(i + 1)
                   : "exec sleep 1000";
    auto writer = bed.ContainerConfig(
        "app", {"sh", "-c",
                "i=0; while [ $i -lt " + std::to_string(kLines) +
                    " ]; do i=$((i+1)); echo line $i; "
                    "[ $((i % 20)) = 0 ] && sleep 0.05; done; " +
                    end});
    auto* mount = writer.add_mounts();
    mount->set_host_path(gate);
    mount->set_container_path("/gate");
    ids.container = bed.RunContainer(ids.pod, config, writer);
    started[ids.container] =
        *os::ProcessStartTicks(InitPid(bed, ids.container));
    all.push_back(ids);
  }
  bed.Kill();
  const int64_t killed_at =
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::system_clock::now().time_since_epoch())
          .count();
  std::ofstream(gate + "/open").close();
  // The outage lasts until every writer has written everything.
  for (const Ids& ids : all) {
    ASSERT_TRUE(testing_support::Eventually([&] {
      return bed.LogLines(ids.name, "app").size() >= kLines;
    })) << ids.name;
  }
  bed.Start();
  for (int i = 0; i < kContainers; ++i) {
    const Ids& ids = all[static_cast<size_t>(i)];
    if (i % 2 == 0) {
      const auto status = bed.AwaitExit(ids.container);
      EXPECT_EQ(status.exit_code(), i + 1);
      EXPECT_GT(status.finished_at(), killed_at) << "ended in the outage";
    } else {
      EXPECT_EQ(bed.Status(ids.container).state(), cri::CONTAINER_RUNNING);
      EXPECT_EQ(*os::ProcessStartTicks(InitPid(bed, ids.container)),
                started[ids.container])
          << "the same process";
      EXPECT_EQ(bed.Exec(ids.container, {"echo", "hi"}).stdout(), "hi\n");
    }
    const auto lines = bed.LogLines(ids.name, "app");
    ASSERT_EQ(lines.size(), static_cast<size_t>(kLines));
    for (int n = 0; n < kLines; ++n) {
      ASSERT_EQ(lines[static_cast<size_t>(n)], "line " + std::to_string(n + 1));
    }
    EXPECT_EQ(bed.PodStatus(ids.pod).state(), cri::SANDBOX_READY);
    EXPECT_TRUE(bed.StopPod(ids.pod).ok());
    EXPECT_TRUE(bed.RemovePod(ids.pod).ok());
  }
}

// A root mounted ahead ends with its daemon and leaves its mark in the
// writable layer, over which the next mount must not stumble.
TEST(RestartTest, AContainerCreatedBeforeASigkillStartsAfterIt) {
  DaemonBed bed;
  if (!os::CanMountOverlay(bed.root())) GTEST_SKIP() << "needs Linux 6.5";
  const auto config = bed.PodConfig("created");
  const std::string pod = bed.RunPod(config);
  const std::string id = bed.Create(
      pod, config, bed.ContainerConfig("app", {"sh", "-c", "echo up >/file"}));
  const std::string layer = bed.root() + "/containers/" + id;
  ASSERT_TRUE(testing_support::Eventually([&] {
    return std::filesystem::exists(layer + "/work/work/incompat");
  })) << "the root was not mounted ahead";
  bed.Kill();
  bed.Start();
  bed.StartContainer(id);
  EXPECT_EQ(bed.AwaitExit(id).exit_code(), 0);
  EXPECT_TRUE(std::filesystem::exists(layer + "/upper/file"));
  EXPECT_TRUE(bed.StopPod(pod).ok());
  EXPECT_TRUE(bed.RemovePod(pod).ok());
}

TEST(RestartTest, EverythingIsFoundAgain) {
  DaemonBed bed;
  const auto config = bed.PodConfig("found");
  const std::string pod = bed.RunPod(config);
  const std::string created = bed.Create(
      pod, config, bed.ContainerConfig("created", {"sleep", "1000"}));
  const std::string ip = bed.PodStatus(pod).network().ip();
  cri::ListImagesResponse before;
  ASSERT_TRUE(bed.client().Call(cri::ListImagesRequest(), &before).ok());
  EXPECT_EQ(bed.Terminate(), 0) << "a clean stop";
  bed.Start();
  EXPECT_EQ(bed.PodStatus(pod).network().ip(), ip);
  EXPECT_EQ(bed.Status(created).state(), cri::CONTAINER_CREATED);
  bed.StartContainer(created);
  EXPECT_EQ(bed.Status(created).state(), cri::CONTAINER_RUNNING);
  cri::ListImagesResponse after;
  ASSERT_TRUE(bed.client().Call(cri::ListImagesRequest(), &after).ok());
  EXPECT_EQ(before.SerializeAsString(), after.SerializeAsString());
  const std::string other = bed.RunPod(bed.PodConfig("other"));
  EXPECT_NE(bed.PodStatus(other).network().ip(), ip)
      << "an address in use was given again";
}

TEST(RestartTest, AMonitorThatDiedIsReported) {
  DaemonBed bed;
  const auto attempt = [&bed](const std::string& name) {
    const auto [pod, id] = RunSleeper(bed, "orphan-" + name);
    const pid_t init = InitPid(bed, id);
    const uint64_t ticks = *os::ProcessStartTicks(init);
    EXPECT_EQ(kill(MonitorPid(bed, pod), SIGKILL), 0);
    EXPECT_EQ(bed.AwaitExit(id).exit_code(), 137);
    EXPECT_TRUE(Ended(init, ticks)) << "its container was orphaned";
    EXPECT_TRUE(AwaitNotReady(bed, pod));
  };
  // For a report that nobody can send any more (stop_pod.cc, kExitDeadline).
  EXPECT_TRUE(DoesNotWait(std::chrono::seconds(10), attempt));
}

TEST(RestartTest, AStopDoesNotWaitForAMonitorThatDied) {
  DaemonBed bed;
  const auto attempt = [&bed](const std::string& name) {
    const auto [pod, id] = RunSleeper(bed, "dying-" + name);
    const pid_t monitor = MonitorPid(bed, pod);
    const pid_t init = InitPid(bed, id);
    const uint64_t ticks = *os::ProcessStartTicks(init);
    // It cannot report the container's end, for which the stop waits.
    EXPECT_EQ(kill(monitor, SIGSTOP), 0);
    std::thread stop([&bed, pod = pod] { EXPECT_TRUE(bed.StopPod(pod).ok()); });
    EXPECT_TRUE(Ended(init, ticks));
    EXPECT_EQ(kill(monitor, SIGKILL), 0);
    stop.join();
    EXPECT_EQ(bed.Status(id).exit_code(), 137);
  };
  EXPECT_TRUE(DoesNotWait(std::chrono::seconds(10), attempt));
}

TEST(RestartTest, AStoppedMonitorIsNotTakenForDead) {
  DaemonBed bed;
  const auto [pod, id] = RunSleeper(bed, "silent");
  const pid_t monitor = MonitorPid(bed, pod);
  ASSERT_EQ(kill(monitor, SIGSTOP), 0);
  bed.Kill();
  ForgetOnlyStart(bed);
  bed.Start();
  EXPECT_EQ(bed.PodStatus(pod).state(), cri::SANDBOX_READY);
  EXPECT_EQ(bed.Status(id).state(), cri::CONTAINER_RUNNING)
      << "the client was told so";
  cri::ExecSyncRequest exec;
  exec.set_container_id(id);
  for (const char* word : {"echo", "hi"}) exec.add_cmd(word);
  // It waits for the monitor's answer, five seconds: then it is asked again.
  std::thread waiting([&bed, &exec] {
    cri::ExecSyncResponse said;
    EXPECT_TRUE(testing_support::Eventually(
        [&] { return bed.client().Call(exec, &said).ok(); }));
    EXPECT_EQ(said.stdout(), "hi\n");
  });
  EXPECT_EQ(bed.PodStatus(pod).state(), cri::SANDBOX_READY);
  EXPECT_EQ(kill(monitor, SIGCONT), 0);
  waiting.join();
}

// 20 monitors that never answer: before, 8 at a time were waited for.
TEST(RestartTest, ItServesBeforeMonitorsHaveAnswered) {
  DaemonBed bed;
  std::vector<std::string> pods;
  std::vector<pid_t> monitors;
  for (int i = 0; i < 20; ++i) {
    pods.push_back(bed.RunPod(bed.PodConfig("mute-" + std::to_string(i))));
    monitors.push_back(MonitorPid(bed, pods.back()));
  }
  const auto config = bed.PodConfig("live");
  const std::string live = bed.RunPod(config);
  const std::string created =
      bed.Create(live, config, bed.ContainerConfig("app", {"sleep", "1000"}));
  bed.Kill();
  for (const pid_t monitor : monitors) ASSERT_EQ(kill(monitor, SIGSTOP), 0);
  // For an answer (client.cc, kHelloTimeout).
  EXPECT_TRUE(DoesNotWait(std::chrono::seconds(5), [&bed](const auto&) {
    bed.Kill();
    bed.Start();
  }));
  cri::ListPodSandboxRequest ready;
  ready.mutable_filter()->mutable_state()->set_state(cri::SANDBOX_READY);
  cri::ListPodSandboxResponse listed;
  ASSERT_TRUE(bed.client().Call(ready, &listed).ok());
  EXPECT_EQ(listed.items_size(), 21);
  // Those that answer are not held up by those that do not.
  bed.StartContainer(created);
  // A stop does without the monitor; what needs one says so, in time.
  EXPECT_TRUE(bed.StopPod(pods[0]).ok());
  cri::CreateContainerRequest create;
  create.set_pod_sandbox_id(pods[1]);
  *create.mutable_config() = bed.ContainerConfig("app", {"true"});
  cri::CreateContainerResponse response;
  EXPECT_TRUE(absl::IsUnavailable(bed.client().Call(create, &response)));
  for (const pid_t monitor : monitors) (void)kill(monitor, SIGCONT);
  EXPECT_TRUE(testing_support::Eventually(
      [&] { return bed.client().Call(create, &response).ok(); }));
}

TEST(RestartTest, AMonitorThatDiesUnheardIsReported) {
  DaemonBed bed;
  const auto [pod, id] = RunSleeper(bed, "unheard");
  const pid_t monitor = MonitorPid(bed, pod);
  ASSERT_EQ(kill(monitor, SIGSTOP), 0);
  bed.Kill();
  bed.Start();
  EXPECT_EQ(bed.Status(id).state(), cri::CONTAINER_RUNNING);
  ASSERT_EQ(kill(monitor, SIGKILL), 0);
  EXPECT_EQ(bed.AwaitExit(id).exit_code(), 137);
  EXPECT_TRUE(AwaitNotReady(bed, pod));
}

TEST(RestartTest, AStartThatNoRecordTellsOfIsReportedAsKilled) {
  DaemonBed bed;
  const auto [pod, id] = RunSleeper(bed, "untold");
  const pid_t monitor = MonitorPid(bed, pod);
  bed.Kill();
  ForgetOnlyStart(bed);
  ASSERT_EQ(kill(monitor, SIGKILL), 0);
  bed.Start();
  EXPECT_TRUE(AwaitNotReady(bed, pod));
  const auto status = bed.AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "Error");
  EXPECT_NE(status.message(), "");
}

// The daemon died before it could write down why a start failed.
TEST(RestartTest, AFailedStartThatNoRecordTellsOfKeepsItsReason) {
  DaemonBed bed;
  const auto config = bed.PodConfig("failed");
  const std::string pod = bed.RunPod(config);
  const std::string id =
      bed.Create(pod, config, bed.ContainerConfig("app", {"/nope"}));
  cri::StartContainerRequest start;
  start.set_container_id(id);
  cri::StartContainerResponse response;
  EXPECT_FALSE(bed.client().Call(start, &response).ok());
  bed.Kill();
  ForgetOnlyStart(bed);
  bed.Start();
  const auto status = bed.AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 128);
  EXPECT_EQ(status.reason(), "StartError");
  EXPECT_NE(status.message().find("exec /nope: ENOENT"), std::string::npos)
      << status.message();
}

TEST(RestartTest, BothKilledLeavesNothingRunning) {
  DaemonBed bed;
  const auto [pod, id] = RunSleeper(bed, "both");
  const pid_t init = InitPid(bed, id);
  const uint64_t ticks = *os::ProcessStartTicks(init);
  const pid_t monitor = MonitorPid(bed, pod);
  bed.Kill();
  ASSERT_EQ(kill(monitor, SIGKILL), 0);
  bed.Start();
  EXPECT_EQ(bed.AwaitExit(id).exit_code(), 137);
  EXPECT_TRUE(Ended(init, ticks));
  EXPECT_TRUE(AwaitNotReady(bed, pod));
}

// The daemon died after it had started the monitor and before systemd had
// moved that into the pod's scope: the record does not name it, and it is not
// in the pod's cgroup.
TEST(RestartTest, AMonitorOfAHalfMadePodEndsWhereverItIs) {
  DaemonBed bed;
  const std::string pod = bed.RunPod(bed.PodConfig("half"));
  const pid_t monitor = MonitorPid(bed, pod);
  const uint64_t ticks = *os::ProcessStartTicks(monitor);
  bed.Kill();
  ChangeOnlyPodRecord(bed, [](state::PodRecord& record) {
    record.set_state(state::POD_CREATING);
    record.clear_monitor_pid();
    record.clear_monitor_start_ticks();
  });
  const std::string unified = "/sys/fs/cgroup/unified/cgroup.procs";
  const absl::Status moved = os::WriteKernelFile(
      AT_FDCWD,
      std::filesystem::exists(unified) ? unified
                                       : "/sys/fs/cgroup/cgroup.procs",
      std::to_string(monitor));
  ASSERT_TRUE(moved.ok()) << moved;
  bed.Start();
  EXPECT_TRUE(Ended(monitor, ticks)) << "a monitor that nobody knows";
  if (os::ProcessStartTicks(monitor).value_or(0) == ticks) {
    kill(monitor, SIGKILL);
  }
  EXPECT_TRUE(testing_support::Eventually([&bed] {
    cri::ListPodSandboxResponse pods;
    return bed.client().Call(cri::ListPodSandboxRequest(), &pods).ok() &&
           pods.items_size() == 0;
  }));
}

// After a reboot a monitor's process id may be anybody's, and so may its start
// time, which counts from the boot.
TEST(RestartTest, NobodyIsKilledForAMonitorOfAnEarlierBoot) {
  DaemonBed bed;
  const std::string pod = bed.RunPod(bed.PodConfig("reboot"));
  os::SpawnSpec spec;
  spec.path = "/bin/sleep";
  spec.argv = {"sleep", "1000"};
  const auto bystander = os::Spawn(spec);
  ASSERT_TRUE(bystander.ok()) << bystander.status();
  bed.Kill();
  ChangeOnlyPodRecord(bed, [&bystander](state::PodRecord& record) {
    record.set_boot_id("of another boot");
    record.set_monitor_pid(bystander->pid);
    record.set_monitor_start_ticks(*os::ProcessStartTicks(bystander->pid));
  });
  bed.Start();
  EXPECT_TRUE(AwaitNotReady(bed, pod));
  EXPECT_EQ(waitpid(bystander->pid, nullptr, WNOHANG), 0) << "it was killed";
  kill(bystander->pid, SIGKILL);
  waitpid(bystander->pid, nullptr, 0);
}

// SIGKILL at random moments of pods' lives; what the daemon said before it
// died stays true, and every retry ends well.
TEST(RestartTest, RandomKillsUnderLoad) {
  DaemonBed bed;
  std::mt19937 random(20261121);
  const auto survivor_config = bed.PodConfig("survivor");
  const std::string survivor = bed.RunPod(survivor_config);
  const std::string survivor_app = bed.RunContainer(
      survivor, survivor_config, bed.ContainerConfig("app", {"sleep", "1000"}));
  for (int round = 0; round < 15; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&bed, round, i] {
        const std::string name =
            "r" + std::to_string(round) + "-" + std::to_string(i);
        cri::RunPodSandboxRequest run;
        *run.mutable_config() = bed.PodConfig(name);
        cri::RunPodSandboxResponse pod;
        if (!bed.client().Call(run, &pod).ok()) return;
        cri::CreateContainerRequest create;
        create.set_pod_sandbox_id(pod.pod_sandbox_id());
        *create.mutable_config() =
            bed.ContainerConfig("app", {"sleep", "1000"});
        cri::CreateContainerResponse created;
        if (!bed.client().Call(create, &created).ok()) return;
        cri::StartContainerRequest start;
        start.set_container_id(created.container_id());
        cri::StartContainerResponse started;
        if (!bed.client().Call(start, &started).ok()) return;
        (void)bed.StopPod(pod.pod_sandbox_id());
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    bed.Kill();
    for (auto& thread : threads) thread.join();
    bed.Start();
    for (int i = 0; i < 4; ++i) {
      const std::string name =
          "r" + std::to_string(round) + "-" + std::to_string(i);
      cri::ListPodSandboxResponse pods;
      ASSERT_TRUE(bed.client().Call(cri::ListPodSandboxRequest(), &pods).ok());
      std::string stopped;
      for (const auto& pod : pods.items()) {
        if (pod.metadata().name() == name &&
            pod.state() == cri::SANDBOX_NOTREADY) {
          stopped = pod.id();
        }
      }
      if (!stopped.empty()) {
        EXPECT_TRUE(bed.RemovePod(stopped).ok());
      }
      const std::string pod = bed.RunPod(bed.PodConfig(name));
      EXPECT_TRUE(bed.StopPod(pod).ok());
      EXPECT_TRUE(bed.RemovePod(pod).ok());
    }
    ASSERT_EQ(bed.Status(survivor_app).state(), cri::CONTAINER_RUNNING)
        << "round " << round;
  }
  EXPECT_EQ(bed.Exec(survivor_app, {"echo", "alive"}).stdout(), "alive\n");
}

// After a power cut on a bad disk, say. Nobody knows the pods any more: they
// are ended, and what they left behind is removed.
TEST(RestartTest, DamagedRecordsAreSetAside) {
  DaemonBed bed;
  const auto config = bed.PodConfig("before");
  const std::string id =
      bed.RunContainer(bed.RunPod(config), config,
                       bed.ContainerConfig("app", {"sleep", "1000"}));
  const pid_t app = InitPid(bed, id);
  const uint64_t started = os::ProcessStartTicks(app).value_or(0);
  EXPECT_EQ(bed.Terminate(), 0);
  std::filesystem::resize_file(bed.root() + "/state.db", 10'000);
  std::ofstream(bed.root() + "/state.db-wal") << "no log";
  bed.Start();
  EXPECT_TRUE(Ended(app, started));
  cri::ListPodSandboxResponse pods;
  ASSERT_TRUE(bed.client().Call(cri::ListPodSandboxRequest(), &pods).ok());
  EXPECT_EQ(pods.items_size(), 0);
  const std::string kept = bed.root() + "/state.db.corrupt-";
  EXPECT_NE(bed.daemon_log().find(kept), std::string::npos);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(bed.root())) {
    if (entry.path().string().rfind(kept, 0) == 0) ++files;
  }
  EXPECT_EQ(files, 2) << "the database and its log";

  bed.StartOver();
  const auto next = bed.PodConfig("after");
  EXPECT_EQ(
      bed.Exec(bed.RunContainer(bed.RunPod(next), next,
                                bed.ContainerConfig("app", {"sleep", "1000"})),
               {"echo", "alive"})
          .stdout(),
      "alive\n");
}

TEST(RestartTest, ASecondDaemonOnTheSameStateIsRefused) {
  DaemonBed bed;
  const char* const build = std::getenv("PINION_BIN");
  const std::string command = std::string(build ? build : "build/bin") +
                              "/piniond --config " + bed.dir() +
                              "/pinion.toml --root " + bed.root() +
                              " --state " + bed.state() + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char text[4096] = {};
  (void)!fread(text, 1, sizeof(text) - 1, pipe);
  EXPECT_NE(pclose(pipe), 0);
  EXPECT_NE(std::string(text).find(std::to_string(bed.pid())),
            std::string::npos)
      << text;
  cri::VersionResponse version;
  EXPECT_TRUE(bed.client().Call(cri::VersionRequest(), &version).ok());
}

}  // namespace
}  // namespace pinion::testing
