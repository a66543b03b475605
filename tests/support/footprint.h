// What a process holds: descriptors, threads, children, memory.
//
// Thread-safe. What vanishes while it is looked at is left out.

#ifndef PINION_TESTS_SUPPORT_FOOTPRINT_H_
#define PINION_TESTS_SUPPORT_FOOTPRINT_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace pinion::testing_support {

struct Footprint {
  size_t descriptors = 0;
  size_t threads = 0;
  size_t children = 0;
  long rss_kib = 0;  // proc(5), smaps_rollup
  long pss_kib = 0;
};

Footprint MeasureFootprint(pid_t pid);

// "fds 52 → 52, threads 20 → 21, …", for the record.
std::string Compare(const Footprint& before, const Footprint& after);

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FOOTPRINT_H_
