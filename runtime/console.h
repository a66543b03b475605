// What a terminal's controlling side (a pty's master) is asked to do.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CONSOLE_H_
#define PINION_RUNTIME_CONSOLE_H_

#include <cstdint>

#include "absl/status/status.h"

namespace pinion::runtime {

// TIOCSWINSZ: the foreground processes get SIGWINCH.
absl::Status ResizeConsole(int console, uint16_t columns, uint16_t rows);

// What a person does whose input is at its end: the terminal's end-of-file
// character (termios(3), VEOF), twice, as the first may only end an unfinished
// line. Nothing if the terminal takes no more input now, or has none.
void TypeEndOfFile(int console);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CONSOLE_H_
