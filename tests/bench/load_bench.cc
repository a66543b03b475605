// How quick the calls that a kubelet makes all the time stay while a node is
// busy: Status, Version and the lists, idle and while N RunPodSandbox and N
// StopContainer with a 30 s grace are under way.
//
//   load_bench --socket PATH --image REF [--label NAME] [--cgroup-parent P]
//              [--log-root DIR] [--runtime-handler H] [--pods N]
//              [--tree CGROUP] [--daemon-pid PID]
//
// Two processes: the load is another one's, so that what is measured is not
// the waiting for this program's own threads. The burst of RunPodSandbox is
// repeated, with the pods' removal in between, while the containers are
// waited for, for kLoadSeconds; the containers ignore the stop signal.
//
// Prints one JSON object per line: {"label", "what", "samples"}, the samples
// in milliseconds, "what" being "Status idle" or "Status load"; then how many
// bursts there were, and how long the last call of the first one took. Leaves
// no pod at the endpoint.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/meters.h"
#include "tests/bench/pod_driver.h"
#include "tools/cri_client.h"

namespace pinion::bench {
namespace {

namespace cri = ::runtime::v1;

constexpr double kIdleSeconds = 5;
constexpr double kLoadSeconds = 10;
constexpr std::chrono::seconds kPatience(30);
constexpr int kGraceSeconds = 30;

struct Flags {
  PodDriverOptions driver;
  std::string label = "pinion";
  int pods = 270;
};

// What the two processes tell each other, a byte each.
enum class Signal : char {
  kReady = 'r',  // every pod is there, nothing moves
  kGo = 'g',     // now the load
  kBusy = 'b',   // every call has been sent
  kOver = 'o',   // the bursts are over; what follows is tidying up
  kEnd = 'e',    // may tidy up
};

class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  void Say(Signal signal) const {
    if (write(fd_, &signal, 1) != 1) Fail("the other process is gone");
  }
  Signal Hear() const {
    Signal signal = Signal::kEnd;
    if (read(fd_, &signal, 1) != 1) Fail("the other process is gone");
    return signal;
  }
  bool Heard() const {
    Signal signal = Signal::kEnd;
    const ssize_t count = recv(fd_, &signal, 1, MSG_DONTWAIT);
    if (count == 0) Fail("the other process is gone");
    return count == 1;
  }

 private:
  const int fd_;
};

class Load {
 public:
  Load(const Flags& flags, Line line)
      : flags_(flags), line_(line), driver_(flags.driver) {}

  void Run() {
    Check(driver_.RemoveAll());
    std::vector<BenchPod> stopping = NewPods();
    std::vector<BenchPod> starting = NewPods();
    Each(&stopping, [this](BenchPod* pod) { return driver_.Up(pod); });
    Each(&starting, [this](BenchPod* pod) { return driver_.RunPod(pod); });
    line_.Say(Signal::kReady);
    line_.Hear();
    Remove(&starting);
    Burden(&stopping, &starting);
    line_.Hear();
    Check(driver_.RemoveAll());
  }

 private:
  void Check(const absl::Status& status) {
    if (status.ok()) return;
    (void)driver_.RemoveAll();
    Fail(flags_.label + ": " + status.ToString());
  }

  std::vector<BenchPod> NewPods() {
    std::vector<BenchPod> pods;
    for (int i = 0; i < flags_.pods; ++i) pods.push_back(driver_.NewPod());
    return pods;
  }

  // One thread per pod.
  void Each(std::vector<BenchPod>* pods,
            const std::function<absl::Status(BenchPod*)>& work) {
    std::vector<absl::Status> results(pods->size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < pods->size(); ++i) {
      threads.emplace_back([&, i] { results[i] = work(&(*pods)[i]); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const absl::Status& result : results) Check(result);
  }

  void Remove(std::vector<BenchPod>* pods) {
    Each(pods, [this](BenchPod* pod) {
      const absl::Status stopped = driver_.StopPod(*pod);
      return stopped.ok() ? driver_.RemovePod(*pod) : stopped;
    });
  }

  void Burden(std::vector<BenchPod>* stopping,
              std::vector<BenchPod>* starting) {
    std::thread stops([&] {
      Each(stopping, [this](BenchPod* pod) {
        return driver_.StopContainer(*pod, kGraceSeconds);
      });
    });
    line_.Say(Signal::kBusy);
    const Stopwatch watch;
    double first_ms = 0;
    int bursts = 0;
    do {
      if (bursts > 0) Remove(starting);
      Each(starting, [this](BenchPod* pod) { return driver_.RunPod(pod); });
      if (++bursts == 1) first_ms = watch.Ms();
    } while (watch.Ms() < kLoadSeconds * 1000);
    line_.Say(Signal::kOver);
    stops.join();
    JsonLine(flags_.label, "load")
        .Number("pods", flags_.pods)
        .Number("bursts", bursts)
        .Number("first_burst_ms", first_ms)
        .Number("stops_ms", watch.Ms());
  }

  const Flags& flags_;
  const Line line_;
  PodDriver driver_;
};

class Probe {
 public:
  explicit Probe(const Flags& flags)
      : flags_(flags), client_(flags.driver.socket) {}

  // Each call once; those that read hundreds of files every tenth time.
  void Round(const std::string& when) {
    Call<cri::VersionRequest, cri::VersionResponse>("Version", when);
    Call<cri::StatusRequest, cri::StatusResponse>("Status", when);
    Call<cri::ListPodSandboxRequest, cri::ListPodSandboxResponse>(
        "ListPodSandbox", when);
    Call<cri::ListContainersRequest, cri::ListContainersResponse>(
        "ListContainers", when);
    if (rounds_++ % 10 != 0) return;
    Call<cri::ListPodSandboxStatsRequest, cri::ListPodSandboxStatsResponse>(
        "ListPodSandboxStats", when);
    Call<cri::ListContainerStatsRequest, cri::ListContainerStatsResponse>(
        "ListContainerStats", when);
  }

  void Print() const {
    for (const auto& [what, samples] : samples_) {
      JsonLine(flags_.label, what).Numbers("samples", samples);
    }
  }

 private:
  template <typename Request, typename Response>
  void Call(const std::string& name, const std::string& when) {
    Response response;
    const Stopwatch watch;
    const absl::Status status = client_.Call(Request(), &response);
    samples_[name + " " + when].push_back(watch.Ms());
    if (!status.ok())
      Fail(flags_.label + ": " + name + ": " + status.ToString());
  }

  const Flags& flags_;
  const tools::CriClient client_;
  int rounds_ = 0;
  std::map<std::string, std::vector<double>> samples_;
};

void RunProbe(const Flags& flags, Line line) {
  line.Hear();
  Probe probe(flags);
  probe.Round("warm-up");
  const Stopwatch watch;
  do {
    probe.Round("idle");
  } while (watch.Ms() < kIdleSeconds * 1000);
  line.Say(Signal::kGo);
  line.Hear();
  while (!line.Heard()) probe.Round("load");
  line.Say(Signal::kEnd);
  probe.Print();
}

Flags Parse(int argc, char** argv) {
  Flags flags;
  flags.driver.log_root = "/tmp/pn-bench-logs";
  std::string tree;
  int daemon_pid = 0;
  ParseFlags(argc, argv,
             {{"--socket", &flags.driver.socket},
              {"--image", &flags.driver.image},
              {"--label", &flags.label},
              {"--cgroup-parent", &flags.driver.cgroup_parent},
              {"--tree", &tree},  // As all clients of the harness; not read.
              {"--log-root", &flags.driver.log_root},
              {"--runtime-handler", &flags.driver.runtime_handler}},
             {{"--pods", &flags.pods}, {"--daemon-pid", &daemon_pid}});
  if (flags.driver.socket.empty() || flags.driver.image.empty()) {
    Fail("--socket and --image are needed");
  }
  return flags;
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) {
  using namespace pinion::bench;  // NOLINT: this file's own names.
  const Flags flags = Parse(argc, argv);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    Fail("socketpair");
  }
  // Before gRPC, which does not like to be forked, does anything.
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    Load(flags, Line(ends[1])).Run();
    return 0;
  }
  close(ends[1]);
  RunProbe(flags, Line(ends[0]));
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
