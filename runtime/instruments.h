// The runtime's metrics, and how the phases of an operation are timed.
//
// Instruments is thread-safe; a PhaseTimer belongs to one operation.

#ifndef PINION_RUNTIME_INSTRUMENTS_H_
#define PINION_RUNTIME_INSTRUMENTS_H_

#include <string>
#include <vector>

#include "base/clock.h"
#include "metrics/metrics.h"
#include "state.pb.h"

namespace pinion::runtime {

class Instruments {
 public:
  explicit Instruments(metrics::Registry& registry);

  void ObservePhase(const std::string& phase, double seconds);

  metrics::Gauge& monitors;
  metrics::Counter& monitors_lost;
  metrics::Counter& oom_kills;
  metrics::Gauge& pods;
  metrics::Gauge& containers_running;

 private:
  metrics::Registry& registry_;
};

// Times consecutive phases: each Next ends the one before.
class PhaseTimer {
 public:
  PhaseTimer(Instruments& instruments, const Clock& clock = Clock::Real());

  void Next(const std::string& name);
  // Ends the last phase. The phases so far, for the record.
  const std::vector<state::Phase>& Finish();

 private:
  void EndCurrent();

  Instruments& instruments_;
  const Clock& clock_;
  bool open_ = false;
  Clock::MonotonicTime started_;
  std::vector<state::Phase> phases_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_INSTRUMENTS_H_
