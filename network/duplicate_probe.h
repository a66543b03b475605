// Asks the neighbours whether somebody else has an address before a pod gets
// it: a camera that was given it by hand, a node whose range overlaps.
//
// Asked from the parent, so that no pod has to be there yet; pods of this
// node do not hear it and need not, they have their addresses from one pool.
// What is said in the parent's VLANs does not count: their addresses are
// others. What asks and what answers: RFC 5227 for IPv4, RFC 4862 for IPv6.
// Three questions, a tenth of a second apart, so an attach that asks takes 0.3
// s longer; an address is asked about until it was found free once on the
// parent that there is.
//
// Thread-safe.

#ifndef PINION_NETWORK_DUPLICATE_PROBE_H_
#define PINION_NETWORK_DUPLICATE_PROBE_H_

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "ipam/ip_address.h"
#include "ipam/pool.h"
#include "metrics/metrics.h"
#include "network/neighbour_frames.h"
#include "network/rtnl.h"
#include "os/unique_fd.h"

namespace pinion::network {

struct ProbePace {
  int times = 3;
  // After each of them.
  std::chrono::milliseconds interval{100};
};

// A question to the stations of one link. One thread at a time.
class DuplicateQuestion {
 public:
  // On a link of the calling thread's network namespace, whose own MAC is
  // `mac`. Needs CAP_NET_RAW.
  static absl::StatusOr<DuplicateQuestion> Open(
      int link_index, const MacAddress& mac,
      const std::vector<ipam::IpAddress>& addresses);

  // Blocks until a station says that it has one of the addresses, or for the
  // pace's time: nullopt then. May be called in any network namespace.
  absl::StatusOr<std::optional<AddressClaim>> Ask(const ProbePace& pace = {});

 private:
  struct Probe {
    os::UniqueFd fd;
    ipam::IpAddress address;
    std::string frame;
  };

  DuplicateQuestion() = default;

  absl::Status Send() const;
  absl::StatusOr<std::optional<AddressClaim>> HearUntil(
      std::chrono::steady_clock::time_point end) const;
  // What came until now; of a storm, some of it.
  absl::StatusOr<std::optional<AddressClaim>> Hear(const Probe& probe) const;

  MacAddress mac_ = {};
  std::vector<Probe> probes_;
};

class DuplicateProbe {
 public:
  // Counts by pool. The registry must outlive it.
  explicit DuplicateProbe(metrics::Registry& registry) : registry_(registry) {}

  // Aborted: somebody on `parent` has one of the addresses, which shall rest
  // then. Any other error: asking failed. To be called in the parent's network
  // namespace.
  absl::Status Check(const Link& parent,
                     const std::vector<ipam::IpLease>& leases)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  metrics::Registry& registry_;
  absl::Mutex mutex_;
  // On the link of this index.
  int link_index_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<ipam::IpAddress> found_free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_DUPLICATE_PROBE_H_
