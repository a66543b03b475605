// The atomics that the slot protocol runs over: what a process maps in
// earnest. tests/unit/ipam/schedule puts a scheduler's in their place, so that
// the same templates run under every interleaving of a few threads.

#ifndef PINION_IPAM_ATOMICS_H_
#define PINION_IPAM_ATOMICS_H_

#include <atomic>
#include <cstdint>

namespace pinion::ipam {

struct StdAtomics {
  using Word = std::atomic<uint64_t>;
};

static_assert(StdAtomics::Word::is_always_lock_free);
static_assert(sizeof(StdAtomics::Word) == sizeof(uint64_t));

}  // namespace pinion::ipam

#endif  // PINION_IPAM_ATOMICS_H_
