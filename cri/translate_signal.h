// The CRI's enum of stop signals and Linux' numbers (signal(7); the C library
// keeps 32 and 33 to itself, so SIGRTMIN is 34 and SIGRTMAX 64).
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_SIGNAL_H_
#define PINION_CRI_TRANSLATE_SIGNAL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"

namespace pinion::cri {

// 0 for SIGNAL_RUNTIME_DEFAULT. InvalidArgument for a value that the enum
// does not have.
absl::StatusOr<int32_t> ToSignalNumber(const Field& field, api::Signal signal);

// SIGNAL_RUNTIME_DEFAULT for 0 and for a number without a name. Of two names
// for one number, the usual one: SIGCHLD, SIGABRT, SIGIO.
api::Signal FromSignalNumber(int32_t number);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_SIGNAL_H_
