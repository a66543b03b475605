// Where to look for a free address: two levels of bits over the slots.
//
//   bitmap    one bit per address: taken
//   summary   one bit per 64 of them: all taken, or not to be given out
//
// Only a hint, at both levels: nothing here makes an address free or taken,
// the slot's compare-and-swap does. A bit that is off too long costs a look at
// the slot. One that is on too long hides an address from Find, and the caller
// looks at the slots themselves before it says that there is none. Without
// kills no bit stays wrong: whoever sets one looks again whether it still holds
// (docs/ipam.md has the argument), and a kill spoils one address's at the most
// until Rebuild, or until that address is claimed.
//
// Thread-safe and process-safe; the words live in the mapped file. `usable` is
// the process's own: processes with other exclusions see other words as full,
// which is one more reason for a summary bit to be wrong.

#ifndef PINION_IPAM_FREE_MAP_H_
#define PINION_IPAM_FREE_MAP_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

namespace pinion::ipam {

template <class Atomics>
class FreeMap {
 public:
  using Word = typename Atomics::Word;

  // `usable` has a bit for every address that may be given out, none beyond
  // the last slot.
  FreeMap(Word* bitmap, Word* summary, const uint64_t* usable, uint64_t slots)
      : bitmap_(bitmap),
        summary_(summary),
        usable_(usable),
        words_((slots + 63) / 64) {}

  bool IsUsable(uint64_t index) const {
    return usable_[index / 64] >> (index % 64) & 1;
  }

  // Calls `claim(index)` for what looks free, from `start` on and around to
  // it, until one call returns something; that.
  template <class Claim>
  auto Search(uint64_t start, const Claim& claim)
      -> decltype(claim(uint64_t{})) {
    const uint64_t first = start / 64;
    const uint64_t behind = ~uint64_t{0} << (start % 64);
    if (auto found = SearchWord(first, behind, claim)) return found;
    for (std::optional<uint64_t> at = NextOpen(first + 1, words_); at;
         at = NextOpen(*at + 1, words_)) {
      if (auto found = SearchWord(*at, ~uint64_t{0}, claim)) return found;
    }
    for (std::optional<uint64_t> at = NextOpen(0, first); at;
         at = NextOpen(*at + 1, first)) {
      if (auto found = SearchWord(*at, ~uint64_t{0}, claim)) return found;
    }
    return SearchWord(first, ~behind, claim);
  }

  // After a claim. `still_taken()` tells whether the slot is.
  template <class StillTaken>
  void SetTaken(uint64_t index, const StillTaken& still_taken) {
    const uint64_t at = index / 64;
    // Acquire: if a release has cleared the bit before this sets it, that
    // release's change of the slot is seen below.
    const uint64_t before =
        bitmap_[at].fetch_or(Bit(index), std::memory_order_acquire);
    if (IsFull(at, before | Bit(index))) SetFull(at);
    if (!still_taken()) SetFree(index);
  }

  // After a release.
  void SetFree(uint64_t index) {
    const uint64_t at = index / 64;
    // Release: see SetTaken.
    const uint64_t before =
        bitmap_[at].fetch_and(~Bit(index), std::memory_order_release);
    if (IsFull(at, before)) SetOpen(at);
  }

  // Makes the bits what the slots say; others may claim and release meanwhile.
  template <class IsTaken>
  void Rebuild(uint64_t slots, const IsTaken& is_taken) {
    for (uint64_t i = 0; i < slots; ++i) {
      const uint64_t word = bitmap_[i / 64].load(std::memory_order_relaxed);
      const bool marked = (word & Bit(i)) != 0;
      const bool taken = is_taken(i);
      if (taken && !marked) SetTaken(i, [&] { return is_taken(i); });
      if (!taken && marked) SetFree(i);
    }
    for (uint64_t at = 0; at < words_; ++at) {
      if (IsFull(at, bitmap_[at].load(std::memory_order_relaxed))) {
        SetFull(at);
      } else {
        SetOpen(at);
      }
    }
  }

 private:
  static uint64_t Bit(uint64_t index) { return uint64_t{1} << (index % 64); }

  bool IsFull(uint64_t at, uint64_t word) const {
    return (usable_[at] & ~word) == 0;
  }

  void SetFull(uint64_t at) {
    // Acquire, and the second look, for the same reason as in SetTaken: a bit
    // may have been cleared, and the summary's with it, just before this.
    summary_[at / 64].fetch_or(Bit(at), std::memory_order_acquire);
    if (!IsFull(at, bitmap_[at].load(std::memory_order_relaxed))) SetOpen(at);
  }

  void SetOpen(uint64_t at) {
    summary_[at / 64].fetch_and(~Bit(at), std::memory_order_release);
  }

  // The first word in [from, end) that is not marked as full.
  std::optional<uint64_t> NextOpen(uint64_t from, uint64_t end) const {
    while (from < end) {
      const uint64_t open =
          ~summary_[from / 64].load(std::memory_order_relaxed) >> (from % 64);
      if (open != 0) {
        from += static_cast<uint64_t>(std::countr_zero(open));
        return from < end ? std::optional(from) : std::nullopt;
      }
      from = (from / 64 + 1) * 64;
    }
    return std::nullopt;
  }

  template <class Claim>
  auto SearchWord(uint64_t at, uint64_t mask, const Claim& claim)
      -> decltype(claim(uint64_t{})) {
    const uint64_t wanted = usable_[at] & mask;
    if (wanted == 0) return std::nullopt;
    uint64_t candidates = ~bitmap_[at].load(std::memory_order_relaxed) & wanted;
    while (candidates != 0) {
      const uint64_t index =
          at * 64 + static_cast<uint64_t>(std::countr_zero(candidates));
      candidates &= candidates - 1;
      if (auto found = claim(index)) return found;
    }
    return std::nullopt;
  }

  Word* const bitmap_;
  Word* const summary_;
  const uint64_t* const usable_;
  const uint64_t words_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_FREE_MAP_H_
