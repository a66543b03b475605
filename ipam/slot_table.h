// The slot protocol: how threads and processes that share a pool's words claim
// and release addresses without a lock, and what SIGKILL at any instant leaves.
// docs/ipam.md has the whole argument; in short, each step with its order:
//
//   claim    1. ledger[owner] += 1                    relaxed
//            2. slot: free|cooled → owned             CAS acq_rel / acquire
//            3. entry, bitmap, summary, cursor        hints
//   release  1. slot: owned → cooling(now)            CAS release / relaxed
//            2. entry, bitmap, summary                hints
//            3. ledger[owner] -= 1                    release
//
// - The slot's CAS is the claim. It acquires what the release before it
//   published (the former owner's use of the address is over), and it releases
//   step 1: neither the compiler nor the CPU may let the owned slot be seen, or
//   be left behind by a kill, without being counted.
// - Therefore the ledger can prove that an owner holds nothing
//   (owner_index.h). A kill between the steps leaves a count too high: a look
//   at all slots more, which finds nothing.
// - The hints steer. What they lead to is checked by the CAS, and what they do
//   not lead to is looked for in the slots before a claim is refused.
// - A claim is refused only if there was an instant, during the call, in which
//   no address could be claimed: all slots are looked at twice, and none has
//   changed.
//
// A template over the atomics, and it allocates only to refuse a claim, so that
// tests can run it under every schedule. Thread-safe and process-safe; calls
// for one owner must not overlap.

#ifndef PINION_IPAM_SLOT_TABLE_H_
#define PINION_IPAM_SLOT_TABLE_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "ipam/free_map.h"
#include "ipam/owner.h"
#include "ipam/owner_index.h"
#include "ipam/slot.h"

namespace pinion::ipam {

// The shared words, and what a process adds of its own.
template <class Atomics>
struct SlotMemory {
  typename Atomics::Word* slots;
  uint64_t slot_count;
  OwnerBucket<Atomics>* buckets;
  uint64_t bucket_count;  // a power of two
  typename Atomics::Word* bitmap;
  typename Atomics::Word* summary;
  typename Atomics::Word* cursor;
  const uint64_t* usable;  // as FreeMap has it
};

// What a slot holds, and what it held when it was claimed; the same if it was
// not.
struct SlotClaim {
  uint64_t word;
  uint64_t before;
};

template <class Atomics>
class SlotTable {
 public:
  using Word = typename Atomics::Word;

  SlotTable(const SlotMemory<Atomics>& memory, uint64_t cooldown_ms)
      : slots_(memory.slots),
        slot_count_(memory.slot_count),
        cursor_(*memory.cursor),
        cooldown_ms_(cooldown_ms),
        index_(memory.buckets, memory.bucket_count, memory.slots,
               memory.slot_count),
        map_(memory.bitmap, memory.summary, memory.usable, memory.slot_count) {}

  uint64_t slot_count() const { return slot_count_; }
  bool IsUsable(uint64_t index) const { return map_.IsUsable(index); }
  uint64_t Load(uint64_t index) const {
    return slots_[index].load(std::memory_order_acquire);
  }

  std::optional<HeldSlot> Find(Owner owner) { return index_.Find(owner); }

  // A slot for an owner that holds none. `now_ms` reads the clock. Lock-free:
  // it takes longer only while others claim.
  template <class Now>
  std::optional<HeldSlot> Claim(Owner owner, const Now& now_ms) {
    index_.Raise(owner);
    std::optional<HeldSlot> held = ClaimByMap(owner, now_ms());
    if (!held) held = ClaimBySlots(owner, now_ms);
    if (!held) {
      index_.Lower(owner);
      return std::nullopt;
    }
    NoteClaim(*held);
    cursor_.store(held->index + 1, std::memory_order_relaxed);
    return held;
  }

  // This very slot, cooled down or not. What it holds afterwards is another
  // owner's word if it is taken.
  SlotClaim ClaimSlot(Owner owner, uint64_t index) {
    index_.Raise(owner);
    uint64_t word = slots_[index].load(std::memory_order_acquire);
    while (slot::TagOf(word) != slot::Tag::kOwned) {
      const uint64_t claimed = slot::Claimed(word, owner);
      if (slots_[index].compare_exchange_strong(word, claimed,
                                                std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
        NoteClaim({index, claimed});
        return {claimed, word};
      }
    }
    index_.Lower(owner);
    return {word, word};
  }

  // Gives a slot back, to `released` (slot::Released, slot::RolledBack). False
  // if it does not hold `held.word` any more.
  bool ReleaseSlot(const HeldSlot& held, uint64_t released) {
    uint64_t expected = held.word;
    if (!slots_[held.index].compare_exchange_strong(
            expected, released, std::memory_order_release,
            std::memory_order_relaxed)) {
      return false;
    }
    const Owner owner = slot::OwnerOf(held.word);
    index_.Forget(owner, held.index);
    map_.SetFree(held.index);
    index_.Lower(owner);
    return true;
  }

  // Gives back what the owner holds; how many slots that was.
  uint64_t Release(Owner owner, uint64_t now_ms) {
    uint64_t released = 0;
    while (const std::optional<HeldSlot> held = Find(owner)) {
      if (ReleaseSlot(*held, slot::Released(held->word, now_ms))) ++released;
    }
    return released;
  }

  // Gives back every slot whose owner `keep` does not want; how many.
  template <class Keep>
  uint64_t Sweep(const Keep& keep, uint64_t now_ms) {
    uint64_t released = 0;
    for (uint64_t i = 0; i < slot_count_; ++i) {
      const uint64_t word = Load(i);
      if (slot::TagOf(word) != slot::Tag::kOwned || keep(slot::OwnerOf(word))) {
        continue;
      }
      if (ReleaseSlot({i, word}, slot::Released(word, now_ms))) ++released;
    }
    return released;
  }

  // Makes the hints what the slots say, as far as others leave them alone.
  void RebuildMap() {
    map_.Rebuild(slot_count_, [this](uint64_t i) {
      return slot::TagOf(Load(i)) == slot::Tag::kOwned;
    });
  }

 private:
  bool IsTaken(uint64_t word, uint64_t now_ms) const {
    return slot::TagOf(word) == slot::Tag::kOwned ||
           slot::IsCooling(word, now_ms, cooldown_ms_);
  }

  // Claims a slot unless it is taken. `word` is what it holds afterwards.
  bool TryClaim(uint64_t index, Owner owner, uint64_t now_ms, uint64_t& word) {
    // Acquire also where it fails: ClaimBySlots looks at all slots once more,
    // after this.
    word = slots_[index].load(std::memory_order_acquire);
    while (!IsTaken(word, now_ms)) {
      const uint64_t claimed = slot::Claimed(word, owner);
      if (slots_[index].compare_exchange_strong(word, claimed,
                                                std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
        word = claimed;
        return true;
      }
    }
    return false;
  }

  uint64_t Start() const {
    // Whatever the file says, it must not lead out of it.
    return cursor_.load(std::memory_order_relaxed) % slot_count_;
  }

  std::optional<HeldSlot> ClaimByMap(Owner owner, uint64_t now_ms) {
    return map_.Search(Start(), [&](uint64_t i) -> std::optional<HeldSlot> {
      uint64_t word;
      if (!TryClaim(i, owner, now_ms, word)) return std::nullopt;
      return HeldSlot{i, word};
    });
  }

  // nullopt: at the instant when the clock was read last, all were taken.
  template <class Now>
  std::optional<HeldSlot> ClaimBySlots(Owner owner, const Now& now_ms) {
    std::vector<uint16_t> generations(slot_count_);
    do {
      const uint64_t start = Start();
      const uint64_t now = now_ms();
      for (uint64_t step = 0; step < slot_count_; ++step) {
        const uint64_t i = (start + step) % slot_count_;
        if (!IsUsable(i)) continue;
        uint64_t word;
        if (TryClaim(i, owner, now, word)) return HeldSlot{i, word};
        generations[i] = static_cast<uint16_t>(slot::GenerationOf(word));
      }
    } while (!AllStillTaken(generations, now_ms()));
    return std::nullopt;
  }

  // Whether each slot is taken by the claim that it was taken by, or cools
  // down after it. Then it was taken all the time between the two looks.
  bool AllStillTaken(const std::vector<uint16_t>& generations,
                     uint64_t now_ms) const {
    for (uint64_t i = 0; i < slot_count_; ++i) {
      if (!IsUsable(i)) continue;
      const uint64_t word = Load(i);
      if (!IsTaken(word, now_ms) ||
          slot::GenerationOf(word) != generations[i]) {
        return false;
      }
    }
    return true;
  }

  void NoteClaim(const HeldSlot& held) {
    index_.Note(slot::OwnerOf(held.word), held.index);
    // A sweep may have released it meanwhile.
    map_.SetTaken(held.index, [this, &held] {
      return slot::TagOf(slots_[held.index].load(std::memory_order_relaxed)) ==
             slot::Tag::kOwned;
    });
  }

  Word* const slots_;
  const uint64_t slot_count_;
  Word& cursor_;
  const uint64_t cooldown_ms_;
  OwnerIndex<Atomics> index_;
  FreeMap<Atomics> map_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_SLOT_TABLE_H_
