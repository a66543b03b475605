#include "runtime/context.h"

#include "absl/strings/str_cat.h"

namespace pinion::runtime {
namespace {

constexpr std::chrono::seconds kMonitorDeadline(10);

}  // namespace

Context::Context(Options the_options, Dependencies the_dependencies)
    : options(std::move(the_options)),
      deps(the_dependencies),
      instruments(*deps.metrics) {}

Context::~Context() {
  stopping = true;
  if (recovery.joinable()) recovery.join();
  if (work != nullptr) work->Close();
  // While the reactor still runs: a client takes itself off it. What the
  // reactor still queues is dropped by the closed queue.
  for (const PodPtr& pod : objects.Pods()) {
    pod->SetReconnecting(nullptr);
    pod->SetMonitor(nullptr);
  }
}

std::string PodDir(const Context& context, const std::string& pod_id) {
  return absl::StrCat(context.options.state, "/pods/", pod_id);
}

std::string ContainerDir(const Context& context, const std::string& id) {
  return absl::StrCat(context.options.root, "/containers/", id);
}

std::chrono::steady_clock::time_point MonitorDeadline() {
  return std::chrono::steady_clock::now() + kMonitorDeadline;
}

}  // namespace pinion::runtime
