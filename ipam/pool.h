// A pool of addresses that threads and processes share without a lock.
//
// What a claim and a release change is one 64-bit word of a mapped file
// (slot.h), so SIGKILL at any instant leaves a free or an owned address,
// never one that is taken by nobody. Owners that are gone are swept.
//
// Thread-safe, and process-safe: any number of threads and processes may map
// one pool and use it at the same time. Calls *for one owner* must not
// overlap; if they do, the owner may get two addresses, which Release and
// Sweep free together.
//
// slot_table.h has the protocol, docs/ipam.md its states, its invariants and
// the reason of each memory order.
//
// Next-fit: a search starts behind the last claim, so that a released address
// is the last to be used again; besides, it cools down first.

#ifndef PINION_IPAM_POOL_H_
#define PINION_IPAM_POOL_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "ipam/ip_range.h"
#include "ipam/owner.h"
#include "ipam/pool_file.h"
#include "ipam/slot_table.h"

namespace pinion::ipam {

class Pool;

// One address, claimed. Unless committed it goes back to the pool when the
// lease is destroyed, as usable as it was: an attach that failed has not used
// it. An address that the owner held already stays with it either way.
//
// Move-only; not thread-safe. The pool must outlive it.
class IpLease {
 public:
  IpLease() = default;
  ~IpLease() { RollBack(); }
  IpLease(IpLease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        held_(other.held_),
        before_(other.before_),
        fresh_(other.fresh_),
        rolls_back_(other.rolls_back_) {}
  IpLease& operator=(IpLease&& other) noexcept;
  IpLease(const IpLease&) = delete;
  IpLease& operator=(const IpLease&) = delete;

  // Not of an empty or moved-from lease.
  IpAddress address() const;
  const Pool& pool() const { return *pool_; }
  // False if the owner held the address before.
  bool fresh() const { return fresh_; }

  // The owner keeps the address until it is released by its name.
  void Commit() { rolls_back_ = false; }

  // Gives a fresh address back to cool down, like one that was used: the
  // kernel says that it is in use after all. The lease is empty afterwards.
  void Retire();

 private:
  friend class Pool;
  // `before`: what a fresh one's slot held.
  IpLease(Pool* pool, const HeldSlot& held, bool fresh, uint64_t before = 0)
      : pool_(pool),
        held_(held),
        before_(before),
        fresh_(fresh),
        rolls_back_(fresh) {}
  void RollBack();

  Pool* pool_ = nullptr;
  HeldSlot held_ = {};
  uint64_t before_ = 0;
  bool fresh_ = false;
  bool rolls_back_ = false;
};

// How full a pool is. The counts are of one pass over the slots, not of one
// instant.
struct Usage {
  uint64_t capacity = 0;  // without what the range excludes
  uint64_t in_use = 0;
  uint64_t cooling = 0;
};

class Pool {
 public:
  struct Options {
    // How long a released address stays unused; whole milliseconds.
    std::chrono::milliseconds cooldown = std::chrono::seconds(60);
    const Clock* clock = &Clock::Real();
  };

  // Opens or makes `directory`/FileName(range). See PoolFile::OpenOrCreate
  // for damaged files and those of an earlier boot.
  static absl::StatusOr<std::unique_ptr<Pool>> Open(
      const std::string& directory, const IpRange& range,
      const Options& options);

  // "10.1.0.0_16": the range's name as a file name.
  static std::string FileName(const IpRange& range);

  // The owner's address if it has one, otherwise a new one.
  // ResourceExhausted if there was an instant without any; the message says
  // how many are in use and how many cool down.
  absl::StatusOr<IpLease> Claim(Owner owner);

  // One more, whatever the owner has. As Claim otherwise.
  absl::StatusOr<IpLease> ClaimAnother(Owner owner);

  // This very address, cooled down or not: who names an address means the
  // same pod or its successor. Unless committed it goes on to cool down, from
  // when it was released. As ClaimAddress otherwise.
  absl::StatusOr<IpLease> LeaseAddress(Owner owner, const IpAddress& address);

  // This very address, cooled down or not: for recovery. Success if the owner
  // has it already. OutOfRange if it is not in the range or excluded,
  // AlreadyExists if it is another's.
  absl::Status ClaimAddress(Owner owner, const IpAddress& address);

  std::optional<IpAddress> Find(Owner owner) const;

  // Frees what the owner holds; how many addresses that was.
  uint64_t Release(Owner owner);

  // Frees every address whose owner `keep` does not want; how many. For the
  // start: an owner whose claim is under way must be kept.
  uint64_t Sweep(const std::function<bool(Owner)>& keep);

  Usage GetUsage() const;
  const IpRange& range() const { return range_; }
  // Where Open put a damaged or foreign file that had the pool's name; empty
  // if there was none.
  const std::string& set_aside() const { return file_->set_aside(); }

 private:
  friend class IpLease;

  Pool(std::unique_ptr<PoolFile> file, IpRange range, const Options& options);

  uint64_t NowMs() const;
  void NoteStamp(const HeldSlot& held, uint64_t now_ms);
  absl::Status Exhausted() const;

  const std::unique_ptr<PoolFile> file_;
  const IpRange range_;
  const uint64_t cooldown_ms_;
  const Clock* const clock_;
  // A bit for each address that may be given out.
  const std::vector<uint64_t> usable_;
  // Looking for an owner may mend hints.
  mutable SlotTable<StdAtomics> table_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_POOL_H_
