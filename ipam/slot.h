// The 64-bit word that is an address's whole state.
//
//   63 62 61      52 51                                   0
//  +-----+----------+--------------------------------------+
//  | tag |generation| payload                              |
//  +-----+----------+--------------------------------------+
//   00    0          0                free, never claimed
//   01    g          owner            owned
//   10    g          milliseconds     released at that time (CLOCK_MONOTONIC);
//                                     free again when it has cooled down
//   11                                 never written
//
// Everything a claim or a release changes is in this one word, so one
// compare-and-swap does it, and a process killed at any instant leaves the
// state before or the state after. Nobody has to end a cool-down: the time is
// compared when an address is wanted.
//
// The generation grows with every claim (modulo 1024): a lease of an earlier
// claim by the same owner cannot release a later one.
//
// Pure functions.

#ifndef PINION_IPAM_SLOT_H_
#define PINION_IPAM_SLOT_H_

#include <cstdint>

#include "ipam/owner.h"

namespace pinion::ipam::slot {

enum class Tag : uint64_t { kFree = 0, kOwned = 1, kCooling = 2, kInvalid = 3 };

inline constexpr int kGenerationBits = 10;
inline constexpr uint64_t kGenerationMask =
    (uint64_t{1} << kGenerationBits) - 1;
inline constexpr uint64_t kPayloadMask = (uint64_t{1} << Owner::kBits) - 1;

constexpr Tag TagOf(uint64_t word) { return static_cast<Tag>(word >> 62); }

constexpr uint64_t GenerationOf(uint64_t word) {
  return word >> Owner::kBits & kGenerationMask;
}

constexpr uint64_t Make(Tag tag, uint64_t generation, uint64_t payload) {
  return static_cast<uint64_t>(tag) << 62 |
         (generation & kGenerationMask) << Owner::kBits |
         (payload & kPayloadMask);
}

inline Owner OwnerOf(uint64_t word) { return Owner(word & kPayloadMask); }

// Of a cooling word; 0 has cooled down already.
constexpr uint64_t ReleasedAtMs(uint64_t word) { return word & kPayloadMask; }

inline bool IsOwnedBy(uint64_t word, Owner owner) {
  return TagOf(word) == Tag::kOwned && OwnerOf(word) == owner;
}

// The word of the claim that follows `before`.
inline uint64_t Claimed(uint64_t before, Owner owner) {
  return Make(Tag::kOwned, GenerationOf(before) + 1, owner.token());
}

constexpr uint64_t Released(uint64_t owned, uint64_t now_ms) {
  return Make(Tag::kCooling, GenerationOf(owned), now_ms);
}

// Of a lease whose address never reached the wire, and whose claim found
// `before`: free at once, unless a former owner's cool-down goes on.
constexpr uint64_t RolledBack(uint64_t owned, uint64_t before = 0) {
  return Released(owned,
                  TagOf(before) == Tag::kCooling ? ReleasedAtMs(before) : 0);
}

constexpr bool IsCooling(uint64_t word, uint64_t now_ms, uint64_t cooldown_ms) {
  return TagOf(word) == Tag::kCooling && ReleasedAtMs(word) != 0 &&
         cooldown_ms != 0 && now_ms < ReleasedAtMs(word) + cooldown_ms;
}

// Whether the word can have been written by this code before `now_ms`.
constexpr bool IsValid(uint64_t word, uint64_t now_ms) {
  switch (TagOf(word)) {
    case Tag::kFree:
      return word == 0;
    case Tag::kOwned:
      return true;
    case Tag::kCooling:
      return ReleasedAtMs(word) <= now_ms;
    case Tag::kInvalid:
      break;
  }
  return false;
}

}  // namespace pinion::ipam::slot

#endif  // PINION_IPAM_SLOT_H_
