// What a program printed has really been written when it ends: else a full
// disk or a closed stream looks like success to a script.
//
// Thread-safe, like stdio.

#ifndef PINION_OS_STANDARD_OUTPUT_H_
#define PINION_OS_STANDARD_OUTPUT_H_

#include "absl/status/status.h"

namespace pinion::os {

// Writes what stdio still has for stdout. "write standard output: ENOSPC";
// DataLoss if what was printed earlier is lost.
absl::Status FlushStandardOutput();

}  // namespace pinion::os

#endif  // PINION_OS_STANDARD_OUTPUT_H_
