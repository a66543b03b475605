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
  reconnects.reset();
  // While the reactor still runs: a client takes itself off it.
  for (const PodPtr& pod : objects.Pods()) pod->SetMonitor(nullptr);
  // A task that had taken a client before ends while the reactor runs, too;
  // what the reactor adds until its end is dropped.
  if (work != nullptr) work->Close();
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
