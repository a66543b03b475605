// What processes did with a pool, and whether it can have been right.
//
// Each operation has the instants before which it had not begun and after which
// it had ended, in ticks that all processes draw from one counter. It took
// effect at some instant in between. Check() says whether instants exist for
// all of them such that no address ever had two owners; and of each claim that
// was refused, whether there can have been an instant, while it ran, in which
// no address was free.
//
// Pure; no thread safety.

#ifndef PINION_TESTS_UNIT_IPAM_HISTORY_HISTORY_H_
#define PINION_TESTS_UNIT_IPAM_HISTORY_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace pinion::ipam::history {

// An address from its claim to its release.
struct Episode {
  uint64_t address = 0;
  uint64_t owner = 0;
  uint64_t claim_begin = 0;
  uint64_t claim_end = 0;
  uint64_t release_begin = 0;
  uint64_t release_end = 0;
};

struct Refusal {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct History {
  uint64_t addresses = 0;  // that may be given out
  std::vector<Episode> episodes;
  std::vector<Refusal> refusals;
};

// What is wrong first; empty if nothing is. Sorts the history.
std::string Check(History& history);

}  // namespace pinion::ipam::history

#endif  // PINION_TESTS_UNIT_IPAM_HISTORY_HISTORY_H_
