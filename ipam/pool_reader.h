// Looks at pools without taking part: for `pinionctl ips` and for tests.
//
// Thread-safe. Reading changes nothing, needs no daemon and does not disturb
// one.

#ifndef PINION_IPAM_POOL_READER_H_
#define PINION_IPAM_POOL_READER_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "ipam/ip_address.h"
#include "ipam/owner.h"

namespace pinion::ipam {

struct PoolEntry {
  enum class State { kOwned, kReleased };

  IpAddress address;
  State state = State::kOwned;
  // Of a released address the owner is not known any more. Otherwise
  // ToString() is the first 13 digits of the pod's id.
  Owner owner;
  // Since the claim or the release; nullopt if that was not noted (the
  // claiming process was killed in that instant, or an unused address was
  // handed back).
  std::optional<std::chrono::milliseconds> age;
};

// The addresses of a pool that are owned or were released, in their order.
// What was never claimed is left out; whether a released one still cools down
// depends on the daemon's configuration. Errors as of
// PoolFile::OpenForReading.
absl::StatusOr<std::vector<PoolEntry>> ReadPool(
    const std::string& path, const Clock& clock = Clock::Real());

// The files in `directory` and below that are pools, by their paths from
// there ("10.1.0.0_24", "secondary/storage/10.2.0.0_24"); a missing directory
// has none.
absl::StatusOr<std::vector<std::string>> ListPools(
    const std::string& directory);

}  // namespace pinion::ipam

#endif  // PINION_IPAM_POOL_READER_H_
