// A pool's words under the scheduler, operations on it that are checked while
// they run, and what must hold when all threads have ended.
//
// A template over the protocol: the real one, and mutants of it.

#ifndef PINION_TESTS_UNIT_IPAM_SCHEDULE_WORLD_H_
#define PINION_TESTS_UNIT_IPAM_SCHEDULE_WORLD_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ipam/owner.h"
#include "ipam/slot.h"
#include "ipam/slot_table.h"
#include "tests/unit/ipam/schedule/scheduler.h"

namespace pinion::ipam::schedule {

// What the scheduler is to try: the protocol as it is.
struct RealProtocol {
  static constexpr const char* kName = "none";
  using Table = SlotTable<SimAtomics>;
  using Memory = SlotMemory<SimAtomics>;
  using Bucket = OwnerBucket<SimAtomics>;
  using Held = HeldSlot;
};

struct Shape {
  uint64_t slots = 2;
  std::vector<uint64_t> usable = {0, 1};
  uint64_t buckets = 1;
  uint64_t cooldown_ms = 0;
};

template <class Protocol>
class World {
 public:
  using Held = typename Protocol::Held;

  explicit World(const Shape& shape)
      : shape_(shape),
        slots_(shape.slots),
        bitmap_((shape.slots + 63) / 64),
        summary_(1),
        buckets_(shape.buckets),
        usable_(UsableBits(shape)),
        table_(typename Protocol::Memory{slots_.data(), shape.slots,
                                         buckets_.data(), shape.buckets,
                                         bitmap_.data(), summary_.data(),
                                         &cursor_, usable_.data()},
               shape.cooldown_ms) {}

  typename Protocol::Table& table() { return table_; }
  const std::string& failure() const { return failure_; }
  void Fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }

  // Checked operations, for threads and for what precedes them.

  std::optional<Held> Claim(uint64_t owner) {
    const int thread = Scheduler::current_thread();
    if (thread >= 0) none_free_[At(thread)] = NoneFree();
    const std::optional<Held> held =
        table_.Claim(Owner(owner), [this] { return now_ms; });
    if (!held) {
      if (thread >= 0 && !none_free_[At(thread)]) {
        Fail("a claim was refused, but there always was a free address");
      }
      return std::nullopt;
    }
    if (!slot::IsOwnedBy(held->word, Owner(owner))) Fail("another's word");
    if (holders_.count(held->index) != 0) Fail("an address has two owners");
    holders_[held->index] = owner;
    CheckHandedOver(held->index);
    return held;
  }

  void Release(uint64_t owner) {
    for (const auto& [index, holder] : holders_) {
      if (holder == owner) last_use_[index] = Scheduler::Known();
    }
    Forget(owner);
    if (table_.Release(Owner(owner), now_ms) != 1) {
      Fail("an owner's address was not found, or more than one");
    }
  }

  // From here on the owner's address may go at any time.
  void Forget(uint64_t owner) {
    std::erase_if(holders_,
                  [owner](const auto& item) { return item.second == owner; });
  }

  // As kills between two steps leave it.
  void LoseEntries() {
    for (auto& bucket : buckets_) bucket.entries.Poke(0);
  }
  void HideAll() {
    for (SimAtomics::Word& word : bitmap_) word.Poke(~uint64_t{0});
    ++earlier_kills_;
  }

  // Work of another in two steps: gives one slot back and takes another. Slots
  // only, so that few steps show what depends on them alone.
  void Move(uint64_t owner, uint64_t from, uint64_t to) {
    Scheduler::Point();
    if (!IsOwnedBy(from, owner)) return;
    slots_[from].Poke(slot::RolledBack(WordOf(from)));
    Scheduler::Point();
    if (!IsOwned(to)) slots_[to].Poke(slot::Claimed(WordOf(to), Owner(owner)));
  }
  void SetCursor(uint64_t index) { cursor_.Poke(index); }

  // Called before each step.
  void Observe() {
    const bool none_free = NoneFree();
    for (bool& seen : none_free_) seen |= none_free;
  }

  // What must hold when all threads have ended.
  void Check(int kills) {
    kills += earlier_kills_;
    CheckLedgers(static_cast<uint64_t>(kills));
    CheckOwners();
    if (kills != 0) table_.RebuildMap();
    CheckMap();
    CheckNoneLost();
  }

  uint64_t WordOf(uint64_t index) const { return slots_[index].Peek(); }
  bool IsOwnedBy(uint64_t index, uint64_t owner) const {
    return slot::IsOwnedBy(WordOf(index), Owner(owner));
  }

  uint64_t now_ms = 1000;

 private:
  static size_t At(int thread) { return static_cast<size_t>(thread); }

  static std::vector<uint64_t> UsableBits(const Shape& shape) {
    std::vector<uint64_t> bits((shape.slots + 63) / 64, 0);
    for (const uint64_t i : shape.usable) {
      bits[i / 64] |= uint64_t{1} << (i % 64);
    }
    return bits;
  }

  // The former owner's use of the address must have happened before.
  void CheckHandedOver(uint64_t index) {
    const auto it = last_use_.find(index);
    if (it == last_use_.end() || Scheduler::current_thread() < 0) return;
    const Scheduler::Times known = Scheduler::Known();
    for (size_t i = 0; i < known.size(); ++i) {
      if (known[i] < it->second[i]) {
        Fail("the former owner's use of the address need not be over");
      }
    }
  }

  bool IsOwned(uint64_t index) const {
    return slot::TagOf(WordOf(index)) == slot::Tag::kOwned;
  }

  bool NoneFree() const {
    return std::all_of(
        shape_.usable.begin(), shape_.usable.end(), [this](uint64_t i) {
          return IsOwned(i) ||
                 slot::IsCooling(WordOf(i), now_ms, shape_.cooldown_ms);
        });
  }

  void CheckLedgers(uint64_t kills) {
    std::vector<uint64_t> owned(shape_.buckets, 0);
    for (const uint64_t i : shape_.usable) {
      if (!slot::IsValid(WordOf(i), now_ms)) Fail("an impossible word");
      if (!IsOwned(i)) continue;
      ++owned[OwnerIndex<SimAtomics>::BucketOf(slot::OwnerOf(WordOf(i)),
                                               shape_.buckets)];
    }
    uint64_t too_high = 0;
    for (uint64_t b = 0; b < shape_.buckets; ++b) {
      const uint64_t count = buckets_[b].ledger.Peek() & kLedgerCountMask;
      if (count < owned[b]) return Fail("a ledger counts too little");
      too_high += count - owned[b];
    }
    if (too_high > kills) Fail("a ledger counts too much");
  }

  void CheckOwners() {
    std::set<uint64_t> owners;
    for (const uint64_t i : shape_.usable) {
      if (!IsOwned(i)) continue;
      const Owner owner = slot::OwnerOf(WordOf(i));
      if (!owners.insert(owner.token()).second) Fail("an owner has two");
      const auto found = table_.Find(owner);
      if (!found || found->index != i) Fail("an owner is not found");
    }
    for (const auto& [index, owner] : holders_) {
      if (!slot::IsOwnedBy(WordOf(index), Owner(owner))) {
        Fail("an address was taken from its owner");
      }
    }
  }

  void CheckMap() {
    for (uint64_t at = 0; at < bitmap_.size(); ++at) {
      const uint64_t word = bitmap_[at].Peek();
      for (uint64_t i = at * 64; i < std::min(shape_.slots, at * 64 + 64);
           ++i) {
        if ((word >> (i % 64) & 1) != 0 && !IsOwned(i)) {
          Fail("the bitmap hides a free address");
        }
      }
      if ((summary_[0].Peek() >> at & 1) != 0 && (usable_[at] & ~word) != 0) {
        Fail("the summary hides a free address");
      }
    }
  }

  void CheckNoneLost() {
    now_ms += shape_.cooldown_ms;
    const auto free = std::count_if(shape_.usable.begin(), shape_.usable.end(),
                                    [this](uint64_t i) { return !IsOwned(i); });
    uint64_t owner = 1000;
    for (int64_t i = 0; i < free; ++i) {
      if (table_.Find(Owner(++owner))) Fail("found an owner that never was");
      if (!Claim(owner)) Fail("a free address is lost");
    }
    if (Claim(++owner)) Fail("an address too many");
  }

  const Shape shape_;
  std::vector<SimAtomics::Word> slots_;
  std::vector<SimAtomics::Word> bitmap_;
  std::vector<SimAtomics::Word> summary_;
  std::vector<typename Protocol::Bucket> buckets_;
  SimAtomics::Word cursor_;
  const std::vector<uint64_t> usable_;
  typename Protocol::Table table_;
  std::map<uint64_t, uint64_t> holders_;  // index to owner
  std::array<bool, 3> none_free_ = {};
  // What the one who released it last knew then.
  std::map<uint64_t, Scheduler::Times> last_use_;
  int earlier_kills_ = 0;
  std::string failure_;
};

}  // namespace pinion::ipam::schedule

#endif  // PINION_TESTS_UNIT_IPAM_SCHEDULE_WORLD_H_
