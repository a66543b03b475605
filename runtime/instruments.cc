#include "runtime/instruments.h"

#include <chrono>

namespace pinion::runtime {

Instruments::Instruments(metrics::Registry& registry)
    : monitors(registry.AddGauge("pinion_monitors",
                                 "Pod monitors this daemon is connected to.")),
      monitors_lost(registry.AddCounter(
          "pinion_monitors_lost_total",
          "Pod monitors that died while their pod was ready.")),
      oom_kills(registry.AddCounter(
          "pinion_container_oom_kills_total",
          "Containers that ended because the kernel's OOM killer struck.")),
      pods(registry.AddGauge("pinion_pods_ready",
                             "Pod sandboxes that are "
                             "ready.")),
      containers_running(registry.AddGauge("pinion_containers_running",
                                           "Containers that are running.")),
      registry_(registry) {}

void Instruments::ObservePhase(const std::string& phase, double seconds) {
  registry_
      .AddHistogram("pinion_pod_start_phase_seconds",
                    "Duration of the phases of starting a pod and its "
                    "containers.",
                    metrics::LatencyBuckets(), {{"phase", phase}})
      .Observe(seconds);
}

PhaseTimer::PhaseTimer(Instruments& instruments, const Clock& clock)
    : instruments_(instruments), clock_(clock) {}

void PhaseTimer::EndCurrent() {
  if (!open_) return;
  open_ = false;
  const auto elapsed = clock_.Now() - started_;
  state::Phase& phase = phases_.back();
  phase.set_duration_ns(
      std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
  instruments_.ObservePhase(phase.name(),
                            std::chrono::duration<double>(elapsed).count());
}

void PhaseTimer::Next(const std::string& name) {
  EndCurrent();
  state::Phase phase;
  phase.set_name(name);
  phase.set_start_ns(clock_.WallNanos());
  phases_.push_back(std::move(phase));
  started_ = clock_.Now();
  open_ = true;
}

const std::vector<state::Phase>& PhaseTimer::Finish() {
  EndCurrent();
  return phases_;
}

}  // namespace pinion::runtime
