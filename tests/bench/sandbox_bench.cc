// Pods without containers, one after another: how long RunPodSandbox takes,
// and each of its phases as the daemon recorded them.
//
//   sandbox_bench --socket PATH [--cgroup-parent P] [--log-root DIR]
//                 [--pods N] [--keep 1] [--host-port PORT] [--port PORT]
//
// Prints one JSON object per pod: {"ms": …, "info": {…}}, `info` being what
// PodSandboxStatus tells when asked to be verbose: addresses, netns, phases.
// Removes each pod before the next one, unless it is to keep them; the host
// port (TCP and UDP) is the first pod's.

#include <cstdio>
#include <string>

#include "tests/bench/bench_flags.h"
#include "tests/bench/meters.h"
#include "tests/bench/pod_driver.h"
#include "tools/cri_client.h"

namespace pinion::bench {
namespace {

namespace cri = ::runtime::v1;

struct Flags {
  PodDriverOptions driver;
  int pods = 1;
  int keep = 0;
  int host_port = 0;
  int port = 0;
};

void Check(const absl::Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

void AddHostPort(const Flags& flags, BenchPod* pod) {
  for (const cri::Protocol protocol : {cri::TCP, cri::UDP}) {
    auto* mapping = pod->config.add_port_mappings();
    mapping->set_protocol(protocol);
    mapping->set_host_port(flags.host_port);
    mapping->set_container_port(flags.port);
  }
}

int Main(int argc, char** argv) {
  Flags flags;
  flags.driver.log_root = "/tmp/pn-bench-logs";
  std::string label, tree;  // As all clients of the harness; not read.
  int daemon_pid = 0;
  ParseFlags(argc, argv,
             {{"--socket", &flags.driver.socket},
              {"--label", &label},
              {"--tree", &tree},
              {"--cgroup-parent", &flags.driver.cgroup_parent},
              {"--log-root", &flags.driver.log_root},
              {"--runtime-handler", &flags.driver.runtime_handler}},
             {{"--pods", &flags.pods},
              {"--keep", &flags.keep},
              {"--host-port", &flags.host_port},
              {"--port", &flags.port},
              {"--daemon-pid", &daemon_pid}});
  PodDriver driver(flags.driver);
  const tools::CriClient client(flags.driver.socket);
  for (int i = 0; i < flags.pods; ++i) {
    BenchPod pod = driver.NewPod();
    if (flags.host_port != 0 && i == 0) AddHostPort(flags, &pod);
    const Stopwatch watch;
    Check(driver.RunPod(&pod));
    const double ms = watch.Ms();
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod.pod);
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    Check(client.Call(request, &response));
    std::printf("{\"ms\": %.4f, \"info\": %s}\n", ms,
                response.info().at("info").c_str());
    if (flags.keep != 0) continue;
    Check(driver.StopPod(pod));
    Check(driver.RemovePod(pod));
  }
  return 0;
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) { return pinion::bench::Main(argc, argv); }
