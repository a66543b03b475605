// Asks one CRI endpoint for pods as a kubelet does: a Burstable pod with one
// container, DNS, a log directory, CPU shares, a memory limit and the
// RuntimeDefault seccomp profile.
//
// The calls are thread-safe; NewPod is not. Every failure is returned as
// "RPC: message".

#ifndef PINION_TESTS_BENCH_POD_DRIVER_H_
#define PINION_TESTS_BENCH_POD_DRIVER_H_

#include <string>

#include "absl/status/status.h"
#include "runtime/v1/api.pb.h"
#include "tools/cri_client.h"

namespace pinion::bench {

// What the container runs: `sleep`, by which MeasureTree leaves it out.
inline constexpr char kContainerCommand[] = "sleep";

struct PodDriverOptions {
  std::string socket;
  std::string image;
  std::string cgroup_parent;
  std::string log_root;
  std::string runtime_handler;
  bool host_network = false;
};

struct BenchPod {
  ::runtime::v1::PodSandboxConfig config;
  std::string pod;  // Ids: empty until made.
  std::string container;
};

class PodDriver {
 public:
  explicit PodDriver(const PodDriverOptions& options);

  BenchPod NewPod();  // Its log directories exist.

  absl::Status RunPod(BenchPod* pod) const;
  absl::Status Create(BenchPod* pod) const;
  absl::Status Start(const BenchPod& pod) const;
  absl::Status Up(BenchPod* pod) const;  // The three.

  // `true` in the container, which must end with 0.
  absl::Status ExecTrue(const BenchPod& pod) const;

  // No grace unless said.
  absl::Status StopContainer(const BenchPod& pod, int grace_seconds = 0) const;
  absl::Status StopPod(const BenchPod& pod) const;
  absl::Status RemoveContainer(const BenchPod& pod) const;
  absl::Status RemovePod(const BenchPod& pod) const;
  absl::Status Down(const BenchPod& pod) const;  // The four.

  // Stops and removes every pod of this endpoint: it is the benchmark's own.
  absl::Status RemoveAll() const;

 private:
  absl::Status Call(const char* name, const google::protobuf::Message& request,
                    google::protobuf::Message* response) const;

  const PodDriverOptions options_;
  const tools::CriClient client_;
  int serial_ = 0;
};

}  // namespace pinion::bench

#endif  // PINION_TESTS_BENCH_POD_DRIVER_H_
