// Pulls one image over the CRI again and again and measures it.
//
//   cri_pull_bench --socket PATH --image REF [--label NAME] [--tree CGROUP]
//              [--daemon-pid PID] [--pulls N]
//
//              [--keep 0|1]
//
// The image is removed before each pull, and what that left to write is
// synced. One line of JSON per pull: milliseconds of wall time, of CPU of the
// machine but this program and of the tree (tests/bench/meters.h; the registry
// is not in it). Leaves the endpoint without the image, unless --keep is 1.

#include <unistd.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "runtime/v1/api.pb.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/meters.h"
#include "tools/cri_client.h"

namespace pinion::bench {
namespace {

namespace cri = ::runtime::v1;
constexpr std::chrono::minutes kDeadline(5);

void Remove(const tools::CriClient& client, const std::string& image) {
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  cri::RemoveImageResponse response;
  const absl::Status status = client.Call(request, &response, kDeadline);
  if (!status.ok()) Fail("RemoveImage: " + status.ToString());
  sync();
}

void Pull(const tools::CriClient& client, const std::string& image) {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(image);
  cri::PullImageResponse response;
  const absl::Status status = client.Call(request, &response, kDeadline);
  if (!status.ok()) Fail("PullImage: " + status.ToString());
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) {
  using namespace pinion::bench;  // NOLINT: this file's own names.
  std::string socket;
  std::string image;
  std::string label = "pinion";
  std::string tree;
  int daemon_pid = 0;
  int pulls = 3;
  int keep = 0;
  ParseFlags(
      argc, argv,
      {{"--socket", &socket},
       {"--image", &image},
       {"--label", &label},
       {"--tree", &tree}},
      {{"--pulls", &pulls}, {"--daemon-pid", &daemon_pid}, {"--keep", &keep}});
  if (socket.empty() || image.empty()) Fail("--socket and --image are needed");
  const pinion::tools::CriClient client(socket);
  for (int i = 0; i < pulls; ++i) {
    Remove(client, image);
    const CpuMeter cpu(tree);
    const Stopwatch watch;
    Pull(client, image);
    JsonLine(label, "pull")
        .Number("ms", watch.Ms())
        .Number("machine_ms", cpu.MachineMs())
        .Number("tree_ms", cpu.TreeMs())
        .Number("daemon_rss_kib", static_cast<double>(ResidentKib(daemon_pid)));
  }
  if (keep == 0) Remove(client, image);
  return 0;
}
