// What a pod's network costs: making its namespace (the kernel's part, for
// comparison), Attach, Detach; one after another and from many threads.
//
// In a network namespace of its own, on the automatic parent; needs root.
// Prints percentiles in microseconds.

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/id.h"
#include "metrics/metrics.h"
#include "network/factory.h"
#include "os/unique_fd.h"

namespace pinion::network {
namespace {

struct Samples {
  std::vector<double> namespaces;
  std::vector<double> attaches;
  std::vector<double> detaches;

  void Add(const Samples& other) {
    const auto append = [](std::vector<double>& to,
                           const std::vector<double>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(namespaces, other.namespaces);
    append(attaches, other.attaches);
    append(detaches, other.detaches);
  }
};

void Print(const char* what, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&values](size_t percent) {
    return values[(values.size() - 1) * percent / 100];
  };
  printf("  %-22s p50 %8.1f   p90 %8.1f   p99 %8.1f\n", what, at(50), at(90),
         at(99));
}

double Microseconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now() - since)
      .count();
}

[[noreturn]] void Die(const std::string& what) {
  fprintf(stderr, "attach_bench: %s\n", what.c_str());
  exit(1);
}

// `count` pods, each kept until the end, as on a node that fills up.
Samples RunPods(PodNetwork& network, int count) {
  struct Held {
    std::string id;
    os::UniqueFd netns;
    os::UniqueFd route;
  };
  Samples samples;
  std::vector<Held> held;
  for (int i = 0; i < count; ++i) {
    Held pod{.id = NewId(), .netns = {}, .route = {}};
    auto start = std::chrono::steady_clock::now();
    if (unshare(CLONE_NEWNET) != 0) Die("unshare");
    samples.namespaces.push_back(Microseconds(start));
    pod.netns.Reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    pod.route.Reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    start = std::chrono::steady_clock::now();
    const auto addresses =
        network.Attach({.pod_id = pod.id,
                        .netns_fd = pod.netns.get(),
                        .netns_route_socket = pod.route.get()});
    samples.attaches.push_back(Microseconds(start));
    if (!addresses.ok()) Die(addresses.status().ToString());
    held.push_back(std::move(pod));
  }
  for (const Held& pod : held) {
    const auto start = std::chrono::steady_clock::now();
    if (!network.Detach(pod.id).ok()) Die("detach");
    samples.detaches.push_back(Microseconds(start));
  }
  return samples;
}

void Measure(PodNetwork& network, int threads, int pods_each) {
  std::vector<Samples> results(static_cast<size_t>(threads));
  std::vector<std::thread> running;
  const auto start = std::chrono::steady_clock::now();
  for (Samples& result : results) {
    running.emplace_back([&network, &result, pods_each] {
      result = RunPods(network, pods_each);
    });
  }
  for (std::thread& thread : running) thread.join();
  printf("%d threads, %d pods: %.1f ms\n", threads, threads * pods_each,
         Microseconds(start) / 1000);
  Samples all;
  for (const Samples& result : results) all.Add(result);
  Print("unshare(CLONE_NEWNET)", all.namespaces);
  Print("Attach", all.attaches);
  Print("Detach", all.detaches);
}

int Main() {
  if (unshare(CLONE_NEWNET) != 0) Die("unshare CLONE_NEWNET; needs root");
  char name[] = "/dev/shm/pn-attach-bench-XXXXXX";
  Options options;
  options.ipam_dir = mkdtemp(name);
  options.range = "10.64.0.0/16";
  const auto registry = metrics::Registry::Create();
  {
    auto network = NewPodNetwork(options, *registry);
    if (!network.ok()) Die(network.status().ToString());
    if (!(*network)->GetReadiness().ready) {
      Die((*network)->GetReadiness().message);
    }
    Measure(**network, 1, 270);
    Measure(**network, 1, 270);
    Measure(**network, 8, 34);
    Measure(**network, 27, 10);
  }
  std::filesystem::remove_all(options.ipam_dir);
  return 0;
}

}  // namespace
}  // namespace pinion::network

int main() { return pinion::network::Main(); }
