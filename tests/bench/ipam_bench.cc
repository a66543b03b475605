// How fast a pool gives out addresses, and beside it CNI's host-local plugin.
//
//   ipam_bench SECONDS [HOST_LOCAL]    SECONDS for each measurement
//
// Prints one JSON object. Threads claim for a new owner and release by its
// name, as the network code does, in a pool in which so many addresses are
// taken as on a busy node. Every sixteenth claim is timed; the time includes
// the reading of the clock.

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ipam/pool.h"

namespace pinion::ipam {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "ipam_bench: %s\n", what.c_str());
  exit(1);
}

// Owners as ids are: random, but the same ones each time (splitmix64).
Owner OwnerOf(uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
  n = (n ^ n >> 27) * 0x94d049bb133111eb;
  return Owner(n ^ n >> 31);
}

uint64_t Percentile(const std::vector<uint64_t>& sorted, double p) {
  return sorted[static_cast<size_t>(p *
                                    static_cast<double>(sorted.size() - 1))];
}

struct ThreadResult {
  uint64_t pairs = 0;
  std::vector<uint64_t> claim_ns;
};

ThreadResult ClaimAndRelease(Pool& pool, uint64_t thread,
                             const std::atomic<bool>& stop) {
  static std::atomic<uint64_t> run = 0;
  uint64_t next = thread << 40 | run.fetch_add(1) << 30;
  ThreadResult result;
  while (!stop.load(std::memory_order_relaxed)) {
    const Owner owner = OwnerOf(next++);
    const bool timed = result.pairs++ % 16 == 0;
    const auto began = timed ? steady_clock::now() : steady_clock::time_point();
    absl::StatusOr<IpLease> lease = pool.Claim(owner);
    if (timed) {
      result.claim_ns.push_back(static_cast<uint64_t>(
          nanoseconds(steady_clock::now() - began).count()));
    }
    if (!lease.ok()) Fail(lease.status().ToString());
    lease->Commit();
    if (pool.Release(owner) != 1) Fail("an owner does not hold its address");
  }
  return result;
}

void Measure(Pool& pool, const std::string& name, int thread_count,
             double seconds) {
  std::atomic<bool> stop = false;
  std::vector<ThreadResult> results(static_cast<size_t>(thread_count));
  std::vector<std::thread> threads;
  const auto began = steady_clock::now();
  for (size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back(
        [&, t] { results[t] = ClaimAndRelease(pool, t + 1, stop); });
  }
  std::this_thread::sleep_for(duration<double>(seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double took = duration<double>(steady_clock::now() - began).count();
  uint64_t pairs = 0;
  std::vector<uint64_t> claim_ns;
  for (const ThreadResult& result : results) {
    pairs += result.pairs;
    claim_ns.insert(claim_ns.end(), result.claim_ns.begin(),
                    result.claim_ns.end());
  }
  std::sort(claim_ns.begin(), claim_ns.end());
  printf(
      "  {\"pool\": \"%s\", \"threads\": %d, \"pairs_per_second\": %.0f, "
      "\"claim_p50_ns\": %lu, \"claim_p99_ns\": %lu, \"claim_p999_ns\": %lu}",
      name.c_str(), thread_count, static_cast<double>(pairs) / took,
      Percentile(claim_ns, 0.5), Percentile(claim_ns, 0.99),
      Percentile(claim_ns, 0.999));
}

void MeasurePool(const std::string& directory, const std::string& range,
                 uint64_t standing, double seconds) {
  absl::StatusOr<std::unique_ptr<Pool>> pool =
      Pool::Open(directory, *IpRange::Parse(range),
                 {.cooldown = std::chrono::milliseconds(0)});
  if (!pool.ok()) Fail(pool.status().ToString());
  for (uint64_t i = 0; i < standing; ++i) {
    absl::StatusOr<IpLease> lease = (*pool)->Claim(OwnerOf(i));
    if (!lease.ok()) Fail(lease.status().ToString());
    lease->Commit();
  }
  const std::string name = range.substr(range.find('/')) + ", " +
                           std::to_string(standing) + " standing";
  for (const int threads : {1, 2, 8}) {
    Measure(**pool, name, threads, seconds);
    printf(threads == 8 ? "\n" : ",\n");
  }
  (*pool)->Sweep([](Owner) { return false; });
}

// One ADD, as a runtime executes it.
void AddByHostLocal(const char* plugin, const std::string& config, int n) {
  int in[2];
  if (pipe2(in, O_CLOEXEC) != 0) Fail("pipe2");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                   O_WRONLY, 0);
  const std::string id = "CNI_CONTAINERID=bench" + std::to_string(n);
  std::vector<std::string> environment = {
      "CNI_COMMAND=ADD", id, "CNI_NETNS=/proc/self/ns/net", "CNI_IFNAME=eth0",
      "CNI_PATH=" + std::filesystem::path(plugin).parent_path().string()};
  std::vector<char*> pointers;
  for (std::string& text : environment) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  char* const arguments[] = {const_cast<char*>(plugin), nullptr};
  pid_t pid;
  if (posix_spawn(&pid, plugin, &actions, nullptr, arguments,
                  pointers.data()) != 0) {
    Fail(std::string("posix_spawn ") + plugin);
  }
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  const ssize_t wrote = write(in[1], config.data(), config.size());
  close(in[1]);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0 ||
      wrote != static_cast<ssize_t>(config.size())) {
    Fail(std::string(plugin) + " failed: " + std::to_string(status));
  }
}

// ADDs a second, one after another, into an empty range.
double HostLocalRate(const char* plugin, const std::string& directory,
                     double seconds) {
  const std::string config =
      R"({"cniVersion": "1.0.0", "name": "bench", "type": "bench", "ipam": )"
      R"({"type": "host-local", "dataDir": ")" +
      directory + R"(/cni", "ranges": [[{"subnet": "10.1.0.0/16"}]]}})";
  int count = 0;
  const auto began = steady_clock::now();
  duration<double> took{};
  do {
    AddByHostLocal(plugin, config, count++);
    took = steady_clock::now() - began;
  } while (took.count() < seconds);
  return count / took.count();
}

int Main(int argc, char** argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 0;
  if (seconds <= 0 || seconds > 60) {
    Fail("usage: ipam_bench SECONDS [HOST_LOCAL]");
  }
  char directory[] = "/dev/shm/pn-ipam-bench-XXXXXX";
  if (mkdtemp(directory) == nullptr) Fail("mkdtemp");
  printf("{\"pools\": [\n");
  MeasurePool(directory, "10.0.0.0/24", 0, seconds);
  printf(",\n");
  MeasurePool(directory, "10.2.0.0/24", 200, seconds);
  printf(",\n");
  MeasurePool(directory, "10.3.0.0/16", 270, seconds);
  printf(",\n");
  MeasurePool(directory, "10.4.0.0/16", 60000, seconds);
  printf(",\n");
  MeasurePool(directory, "10.5.0.0/16", 65500, seconds);
  printf("]");
  if (argc > 2) {
    printf(",\n\"host_local_adds_per_second\": %.1f",
           HostLocalRate(argv[2], directory, 4 * seconds));
  }
  printf("}\n");
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace pinion::ipam

int main(int argc, char** argv) { return pinion::ipam::Main(argc, argv); }
