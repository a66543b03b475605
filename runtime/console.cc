#include "runtime/console.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "os/error.h"

namespace pinion::runtime {

absl::Status ResizeConsole(int console, uint16_t columns, uint16_t rows) {
  winsize size = {};
  size.ws_col = columns;
  size.ws_row = rows;
  if (ioctl(console, TIOCSWINSZ, &size) != 0) {
    return os::ErrnoStatus("ioctl TIOCSWINSZ");
  }
  return absl::OkStatus();
}

void TypeEndOfFile(int console) {
  termios settings = {};
  // Of a pty's master these are the terminal's.
  if (tcgetattr(console, &settings) != 0) return;
  const cc_t end = settings.c_cc[VEOF];
  if (end == _POSIX_VDISABLE) return;
  const cc_t twice[] = {end, end};
  (void)!write(console, twice, sizeof(twice));
}

}  // namespace pinion::runtime
