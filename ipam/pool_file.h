// The file behind a pool, and its mapping.
//
//   offset            content
//   0                 Header (one page; only `cursor` and `usable` change)
//   4096              slots: one 64-bit word per address (slot.h)
//   … + 8 · n         stamps: when the slot was last claimed, for people
//   … + 8 · n         buckets of owners: ledger and entries (owner_index.h)
//   … + 16 · buckets  bitmap: one bit per address, in 64-bit words
//   … + 8 · words     summary: one bit per word of the bitmap (free_map.h)
//
// The slots are the truth, and what a ledger counts is never too low. The rest
// are hints: a kill may leave stamps behind, a count too high and bits wrong,
// and docs/ipam.md says why that is harmless.
//
// All of the file is allocated when it is made, so that a full tmpfs is an
// error then and not a SIGBUS later. It needs no fsync: it belongs to one
// boot, whose id it carries, and no pod survives a reboot.
//
// Thread-safe: opening takes a lock on the directory (flock(2), which ends
// with its holder); the mapped words are atomics.

#ifndef PINION_IPAM_POOL_FILE_H_
#define PINION_IPAM_POOL_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipam/atomics.h"
#include "ipam/ip_range.h"
#include "ipam/owner.h"
#include "ipam/slot_table.h"
#include "os/unique_fd.h"

namespace pinion::ipam {

class PoolFile {
 public:
  // Opens `directory`/`name` for the range, or makes it. A file of an earlier
  // boot is replaced. One that is damaged or foreign is renamed to
  // `name`.corrupt-<time> and replaced, with an error in the log. `now_ms` is
  // CLOCK_MONOTONIC.
  static absl::StatusOr<std::unique_ptr<PoolFile>> OpenOrCreate(
      const std::string& directory, const std::string& name,
      const IpRange& range, uint64_t now_ms);

  // An existing file, whatever its range, mapped for reading only. NotFound;
  // DataLoss if it is damaged, FailedPrecondition if it is of an earlier boot.
  static absl::StatusOr<std::unique_ptr<const PoolFile>> OpenForReading(
      const std::string& path, uint64_t now_ms);

  ~PoolFile();
  PoolFile(const PoolFile&) = delete;
  PoolFile& operator=(const PoolFile&) = delete;

  uint64_t slot_count() const { return slot_count_; }
  // Slots that are not excluded, as the last daemon had it; all, if none has
  // said so.
  uint64_t usable() const;
  void set_usable(uint64_t slots);
  // The address of slot 0.
  const IpAddress& first() const { return first_; }

  // Empty, or where a damaged or foreign file of this name was put.
  const std::string& set_aside() const { return set_aside_; }

  const std::atomic<uint64_t>& slot(uint64_t index) const {
    return slots_[index];
  }
  std::atomic<uint64_t>& stamp(uint64_t index) { return stamps_[index]; }
  const std::atomic<uint64_t>& stamp(uint64_t index) const {
    return stamps_[index];
  }
  // The words of the protocol. The file must outlive what uses them.
  SlotMemory<StdAtomics> memory(const uint64_t* usable);

 private:
  struct Header;
  struct Layout;

  PoolFile(void* mapping, const Header& header);

  static absl::StatusOr<std::unique_ptr<PoolFile>> Map(int fd,
                                                       const std::string& name,
                                                       bool writable,
                                                       uint64_t now_ms);
  // DataLoss if the file holds what no process can have written.
  absl::Status CheckSlots(uint64_t now_ms) const;
  // Raises counts that are below what the slots say; DataLoss if one is
  // beyond belief.
  absl::Status RepairLedgers();
  static absl::Status CheckKind(int directory, const std::string& name);
  static absl::Status Create(int directory, const std::string& name,
                             const IpRange& range);
  // A pool of free addresses into an empty file.
  static absl::Status Fill(int fd, const std::string& name,
                           const IpRange& range);

  void* const mapping_;
  const uint64_t bytes_;
  const uint64_t slot_count_;
  const uint64_t bucket_count_;
  IpAddress first_;
  std::atomic<uint64_t>* slots_ = nullptr;
  std::atomic<uint64_t>* stamps_ = nullptr;
  OwnerBucket<StdAtomics>* buckets_ = nullptr;
  std::atomic<uint64_t>* bitmap_ = nullptr;
  std::atomic<uint64_t>* summary_ = nullptr;
  std::string set_aside_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_POOL_FILE_H_
