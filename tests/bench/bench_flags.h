// `--name value` pairs of a benchmark program.

#ifndef PINION_TESTS_BENCH_BENCH_FLAGS_H_
#define PINION_TESTS_BENCH_BENCH_FLAGS_H_

#include <cstdlib>
#include <map>
#include <string>

#include "tests/bench/meters.h"

namespace pinion::bench {

// Fills what `texts` and `numbers` name; ends the program over anything else.
inline void ParseFlags(int argc, char** argv,
                       const std::map<std::string, std::string*>& texts,
                       const std::map<std::string, int*>& numbers) {
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) Fail(name + " needs a value");
    if (const auto t = texts.find(name); t != texts.end()) {
      *t->second = argv[i + 1];
    } else if (const auto n = numbers.find(name); n != numbers.end()) {
      char* end = nullptr;
      *n->second = static_cast<int>(std::strtol(argv[i + 1], &end, 10));
      if (*end != '\0') Fail(name + ": no number: " + argv[i + 1]);
    } else {
      Fail("unknown flag " + name);
    }
  }
}

}  // namespace pinion::bench

#endif  // PINION_TESTS_BENCH_BENCH_FLAGS_H_
