// Drives one CRI endpoint the way a kubelet does and measures it: pods one
// after another (each RPC by itself), execs, and bursts of pods at once.
//
//   pods_bench --socket PATH --image REF [--label NAME] [--network pod|host]
//              [--cgroup-parent P] [--tree CGROUP] [--log-root DIR]
//              [--runtime-handler H] [--pods N] [--execs N]
//              [--bursts 27,100] [--daemon-pid PID]
//
// Prints one JSON object per line: {"label", "what", figures…}. Times are
// milliseconds of wall time, every sample; CPU is milliseconds per pod up, of
// the whole machine but this program and of the tree (tests/bench/meters.h);
// memory is PSS of the tree but the containers. tests/bench/run compares
// runtimes with it. Leaves no pod at the endpoint, also when a call fails.

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/meters.h"
#include "tests/bench/pod_driver.h"

namespace pinion::bench {
namespace {

struct Flags {
  PodDriverOptions driver;
  std::string label = "pinion";
  std::string network = "pod";
  std::string tree;
  std::string bursts;
  int pods = 50;
  int execs = 100;
  int daemon_pid = 0;
};

class PodsBench {
 public:
  explicit PodsBench(Flags flags)
      : flags_(std::move(flags)), driver_(flags_.driver) {}

  void Sequential();
  void Execs();
  void Burst(int count);
  void RemoveAll() { Check(driver_.RemoveAll()); }

 private:
  // Ends the program over an error, with no pod left behind.
  void Check(const absl::Status& status);
  // Runs `work` once per pod, all at once; the first error ends the program.
  void ForAll(std::vector<BenchPod>* pods,
              const std::function<absl::Status(BenchPod*)>& work);

  const Flags flags_;
  PodDriver driver_;
};

void PodsBench::Check(const absl::Status& status) {
  if (status.ok()) return;
  (void)driver_.RemoveAll();
  Fail(flags_.label + ": " + status.ToString());
}

void PodsBench::Sequential() {
  std::map<std::string, std::vector<double>> samples;
  const auto timed = [&](const std::string& what, auto&& work) {
    const Stopwatch watch;
    const absl::Status status = work();
    samples[what].push_back(watch.Ms());
    Check(status);
  };
  double machine_ms = 0;
  double tree_ms = 0;
  const CpuMeter whole(flags_.tree);
  for (int i = 0; i < flags_.pods; ++i) {
    BenchPod pod = driver_.NewPod();
    const CpuMeter cpu(flags_.tree);
    timed("pod up", [&] {
      timed("RunPodSandbox", [&] { return driver_.RunPod(&pod); });
      timed("CreateContainer", [&] { return driver_.Create(&pod); });
      timed("StartContainer", [&] { return driver_.Start(pod); });
      return absl::OkStatus();
    });
    machine_ms += cpu.MachineMs();
    tree_ms += cpu.TreeMs();
    timed("pod down", [&] {
      timed("StopContainer", [&] { return driver_.StopContainer(pod); });
      timed("StopPodSandbox", [&] { return driver_.StopPod(pod); });
      timed("RemoveContainer", [&] { return driver_.RemoveContainer(pod); });
      timed("RemovePodSandbox", [&] { return driver_.RemovePod(pod); });
      return absl::OkStatus();
    });
    std::filesystem::remove_all(pod.config.log_directory());
  }
  for (const auto& [what, values] : samples) {
    JsonLine(flags_.label, what).Numbers("samples", values);
  }
  const double n = flags_.pods;
  JsonLine(flags_.label, "cpu one by one")
      .Number("up_machine_ms", machine_ms / n)
      .Number("up_tree_ms", tree_ms / n)
      .Number("whole_machine_ms", whole.MachineMs() / n)
      .Number("whole_tree_ms", whole.TreeMs() / n);
}

void PodsBench::Execs() {
  BenchPod pod = driver_.NewPod();
  Check(driver_.Up(&pod));
  std::vector<double> samples;
  const CpuMeter cpu(flags_.tree);
  for (int i = 0; i < flags_.execs; ++i) {
    const Stopwatch watch;
    Check(driver_.ExecTrue(pod));
    samples.push_back(watch.Ms());
  }
  JsonLine(flags_.label, "ExecSync").Numbers("samples", samples);
  JsonLine(flags_.label, "cpu exec")
      .Number("machine_ms", cpu.MachineMs() / flags_.execs)
      .Number("tree_ms", cpu.TreeMs() / flags_.execs);
  Check(driver_.Down(pod));
  std::filesystem::remove_all(pod.config.log_directory());
}

void PodsBench::ForAll(std::vector<BenchPod>* pods,
                       const std::function<absl::Status(BenchPod*)>& work) {
  std::vector<absl::Status> results(pods->size());
  std::vector<std::thread> threads;
  threads.reserve(pods->size());
  for (size_t i = 0; i < pods->size(); ++i) {
    threads.emplace_back([&, i] { results[i] = work(&(*pods)[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) Check(result);
}

void PodsBench::Burst(int count) {
  std::vector<BenchPod> pods;
  for (int i = 0; i < count; ++i) pods.push_back(driver_.NewPod());
  const TreeMemory idle = MeasureTree(flags_.tree, kContainerCommand);
  const long idle_rss = ResidentKib(flags_.daemon_pid);
  const CpuMeter cpu(flags_.tree);
  const Stopwatch up;
  ForAll(&pods, [this](BenchPod* pod) { return driver_.Up(pod); });
  const double up_ms = up.Ms();
  const double machine_ms = cpu.MachineMs();
  const double tree_ms = cpu.TreeMs();
  const TreeMemory busy = MeasureTree(flags_.tree, kContainerCommand);
  const long busy_rss = ResidentKib(flags_.daemon_pid);
  const Stopwatch down;
  ForAll(&pods, [this](BenchPod* pod) { return driver_.Down(*pod); });
  const double down_ms = down.Ms();
  JsonLine(flags_.label, "burst")
      .Number("pods", count)
      .Number("up_ms", up_ms)
      .Number("down_ms", down_ms)
      .Number("up_machine_ms", machine_ms / count)
      .Number("up_tree_ms", tree_ms / count)
      .Number("pss_kib_per_pod",
              static_cast<double>(busy.pss_kib - idle.pss_kib) / count)
      .Number("processes_per_pod",
              static_cast<double>(busy.processes - idle.processes) / count)
      .Number("daemon_rss_before_kib", static_cast<double>(idle_rss))
      .Number("daemon_rss_kib", static_cast<double>(busy_rss));
  for (const BenchPod& pod : pods) {
    std::filesystem::remove_all(pod.config.log_directory());
  }
}

Flags Parse(int argc, char** argv) {
  Flags flags;
  flags.driver.log_root = "/tmp/pn-bench-logs";
  ParseFlags(argc, argv,
             {{"--socket", &flags.driver.socket},
              {"--image", &flags.driver.image},
              {"--label", &flags.label},
              {"--network", &flags.network},
              {"--cgroup-parent", &flags.driver.cgroup_parent},
              {"--tree", &flags.tree},
              {"--log-root", &flags.driver.log_root},
              {"--runtime-handler", &flags.driver.runtime_handler},
              {"--bursts", &flags.bursts}},
             {{"--pods", &flags.pods},
              {"--execs", &flags.execs},
              {"--daemon-pid", &flags.daemon_pid}});
  if (flags.driver.socket.empty() || flags.driver.image.empty()) {
    Fail("--socket and --image are needed");
  }
  if (flags.network != "pod" && flags.network != "host") {
    Fail("--network is pod or host");
  }
  flags.driver.host_network = flags.network == "host";
  return flags;
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) {
  using namespace pinion::bench;  // NOLINT: this file's own names.
  const Flags flags = Parse(argc, argv);
  PodsBench bench(flags);
  bench.RemoveAll();
  if (flags.pods > 0) bench.Sequential();
  if (flags.execs > 0) bench.Execs();
  for (const std::string& burst : SplitAtCommas(flags.bursts)) {
    bench.Burst(std::atoi(burst.c_str()));
  }
  return 0;
}
