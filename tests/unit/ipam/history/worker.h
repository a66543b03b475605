// A process that claims and releases for owners of its own and writes down what
// it did, in memory that outlives it.

#ifndef PINION_TESTS_UNIT_IPAM_HISTORY_WORKER_H_
#define PINION_TESTS_UNIT_IPAM_HISTORY_WORKER_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "ipam/ip_range.h"

namespace pinion::ipam::history {

inline constexpr uint64_t kNoAddress = ~uint64_t{0};

enum class Action : uint64_t {
  kClaim,         // any address; kept
  kClaimAddress,  // this one
  kRelease,
  kFind,
};

// Words, so that a kill leaves each written or not.
struct Entry {
  std::atomic<uint64_t> begin;
  std::atomic<uint64_t> end;  // 0: under way
  std::atomic<uint64_t> action;
  std::atomic<uint64_t> owner;
  // The address' index, or kNoAddress: refused, nothing found, not released.
  std::atomic<uint64_t> address;
};

// Shared by all processes, zeroed.
struct Shared {
  std::atomic<uint64_t> ticks;
  std::atomic<uint64_t> stop;
};

// One process's.
struct Log {
  std::atomic<uint64_t> entries;  // begun
  std::atomic<uint64_t> failed;   // it saw something that cannot be
};

struct WorkerOptions {
  std::string directory;
  IpRange range;
  uint64_t first_owner;
  uint64_t owners;
  uint64_t seed;
  uint64_t most_entries;
};

// Until `shared` says stop, or the log is full. Never returns.
[[noreturn]] void Work(const WorkerOptions& options, Shared& shared, Log& log,
                       Entry* entries);

}  // namespace pinion::ipam::history

#endif  // PINION_TESTS_UNIT_IPAM_HISTORY_WORKER_H_
