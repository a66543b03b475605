// From an owner to its slot: buckets of owners, two words each.
//
//   ledger    63      32 31       0
//            +----------+----------+   count: slots that owners of this bucket
//            | changes  |  count   |   hold, never too low
//            +----------+----------+   changes: how often it was changed
//   entries   four slots' indices, 16 bits each, 0 where there is none
//
// The ledger is part of the protocol: a claim raises it before it takes its
// slot, a release lowers it after it gave its slot back. So it can say that an
// owner has no slot, which every claim of a new owner must know: at once if the
// count is 0, and else if as many slots as it counts are seen to belong to
// other owners. `changes` tells whether that was seen at one time.
//
// The entries are a hint. If they do not account for what the ledger counts
// (a fifth owner in the bucket, or a kill between two steps), all slots are
// looked at.
//
// Thread-safe and process-safe, but calls for one owner must not overlap.

#ifndef PINION_IPAM_OWNER_INDEX_H_
#define PINION_IPAM_OWNER_INDEX_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "ipam/owner.h"
#include "ipam/slot.h"

namespace pinion::ipam {

// A slot, and what it held when it was looked at.
struct HeldSlot {
  uint64_t index;
  uint64_t word;
};

template <class Atomics>
struct OwnerBucket {
  typename Atomics::Word ledger;
  typename Atomics::Word entries;
};

inline constexpr uint64_t kLedgerCountMask = 0xffffffff;

template <class Atomics>
class OwnerIndex {
 public:
  using Word = typename Atomics::Word;
  using Bucket = OwnerBucket<Atomics>;

  // `bucket_count` is a power of two.
  OwnerIndex(Bucket* buckets, uint64_t bucket_count, Word* slots,
             uint64_t slot_count)
      : buckets_(buckets),
        bucket_count_(bucket_count),
        slots_(slots),
        slot_count_(slot_count) {}

  static uint64_t BucketOf(Owner owner, uint64_t bucket_count) {
    // Ids are random, but a caller's tokens need not be: mix them.
    uint64_t hash = owner.token() * 0x9e3779b97f4a7c15;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
    return hash >> 32 & (bucket_count - 1);
  }

  // Before a claim.
  void Raise(Owner owner) {
    // Relaxed: the claim's compare-and-swap releases it.
    At(owner).ledger.fetch_add(kChange + 1, std::memory_order_relaxed);
  }

  // After a release, or a claim that found nothing.
  void Lower(Owner owner) {
    // Release: who sees the lower count sees the slot given back.
    At(owner).ledger.fetch_add(kChange - 1, std::memory_order_release);
  }

  // Writes down a claimed slot. If all entries are other owners', it does not.
  void Note(Owner owner, uint64_t index) {
    Word& word = At(owner).entries;
    uint64_t entries = word.load(std::memory_order_relaxed);
    while (const std::optional<size_t> i = Unused(entries, owner, index)) {
      if (word.compare_exchange_strong(entries, WithEntry(entries, *i, index),
                                       std::memory_order_relaxed,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
  }

  // Removes it again.
  void Forget(Owner owner, uint64_t index) {
    Word& word = At(owner).entries;
    uint64_t entries = word.load(std::memory_order_relaxed);
    for (size_t i = 0; i < kEntries; ++i) {
      if (Entry(entries, i) != index) continue;
      word.compare_exchange_strong(entries, WithEntry(entries, i, 0),
                                   std::memory_order_relaxed,
                                   std::memory_order_relaxed);
      return;
    }
  }

  // The owner's slot. Nothing else may claim or release for this owner at the
  // same time, except Sweep, which may make the answer old.
  std::optional<HeldSlot> Find(Owner owner) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const uint64_t ledger = At(owner).ledger.load(std::memory_order_acquire);
      if ((ledger & kLedgerCountMask) == 0) return std::nullopt;
      uint64_t others = 0;
      if (const auto held = LookAtEntries(owner, others)) return held;
      if (others < (ledger & kLedgerCountMask)) break;
      // As many as are counted belong to others. If the ledger has not changed
      // each of them was in its count all the time, and this owner would be
      // one more. The loads of the slots were acquire, so this one is later.
      if (At(owner).ledger.load(std::memory_order_relaxed) == ledger) {
        return std::nullopt;
      }
    }
    return FindBySlots(owner);
  }

 private:
  static constexpr uint64_t kChange = uint64_t{1} << 32;
  static constexpr size_t kEntries = 4;
  static constexpr int kAttempts = 3;

  static uint64_t Entry(uint64_t entries, size_t i) {
    return entries >> (16 * i) & 0xffff;
  }
  static uint64_t WithEntry(uint64_t entries, size_t i, uint64_t index) {
    return (entries & ~(uint64_t{0xffff} << (16 * i))) | index << (16 * i);
  }

  Bucket& At(Owner owner) { return buckets_[BucketOf(owner, bucket_count_)]; }

  uint64_t Load(uint64_t index) {
    // Whatever the file says, it must not lead out of it.
    return index < slot_count_ ? slots_[index].load(std::memory_order_acquire)
                               : 0;
  }

  bool IsOfBucket(uint64_t word, Owner owner) const {
    return slot::TagOf(word) == slot::Tag::kOwned &&
           BucketOf(slot::OwnerOf(word), bucket_count_) ==
               BucketOf(owner, bucket_count_);
  }

  // An entry that may be overwritten; none if `index` is there already.
  std::optional<size_t> Unused(uint64_t entries, Owner owner, uint64_t index) {
    for (size_t i = 0; i < kEntries; ++i) {
      const uint64_t entry = Entry(entries, i);
      if (entry == index) return std::nullopt;
      if (entry == 0 || !IsOfBucket(Load(entry), owner)) return i;
    }
    return std::nullopt;
  }

  // Counts the slots that owners of this bucket but not this one hold.
  std::optional<HeldSlot> LookAtEntries(Owner owner, uint64_t& others) {
    const uint64_t entries = At(owner).entries.load(std::memory_order_relaxed);
    std::array<uint64_t, kEntries> seen;
    size_t seen_count = 0;
    for (size_t i = 0; i < kEntries; ++i) {
      const uint64_t index = Entry(entries, i);
      bool again = false;
      for (size_t j = 0; j < seen_count; ++j) again |= seen[j] == index;
      if (again) continue;
      seen[seen_count++] = index;
      const uint64_t word = Load(index);
      if (slot::IsOwnedBy(word, owner)) return HeldSlot{index, word};
      if (IsOfBucket(word, owner)) ++others;
    }
    return std::nullopt;
  }

  std::optional<HeldSlot> FindBySlots(Owner owner) {
    for (uint64_t i = 0; i < slot_count_; ++i) {
      const uint64_t word = Load(i);
      if (slot::IsOwnedBy(word, owner)) {
        Note(owner, i);
        return HeldSlot{i, word};
      }
    }
    return std::nullopt;
  }

  Bucket* const buckets_;
  const uint64_t bucket_count_;
  Word* const slots_;
  const uint64_t slot_count_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_OWNER_INDEX_H_
