// A terminal taken over for a while: alternate screen, no cursor, keys as they
// are pressed; given back as it was, also before it is stopped (Ctrl-Z).
//
// Not thread-safe; one at a time, since signals belong to the process: SIGINT,
// SIGTERM, SIGHUP, SIGTSTP and SIGWINCH come out of Wait while it lives.

#ifndef PINION_TOOLS_SCREEN_H_
#define PINION_TOOLS_SCREEN_H_

#include <signal.h>
#include <termios.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::tools {

class Screen {
 public:
  // Of standard output, which must be a terminal. Keys come only if standard
  // input is one too. Before any other thread is started: they inherit that
  // the signals are blocked. The terminal is taken by the first Show.
  static absl::StatusOr<std::unique_ptr<Screen>> Open();
  ~Screen();

  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Lines of the terminal; 24 if it does not say.
  size_t lines() const;

  // Replaces what is shown, without a flicker: lines are overwritten.
  void Show(const std::string& text);

  struct Event {
    enum class Kind { kTimeout, kKey, kResize, kEnd };
    Kind kind = Kind::kTimeout;
    char key = 0;
  };
  // The next event, kTimeout at `deadline`. kEnd: a signal asks to end.
  Event Wait(std::chrono::steady_clock::time_point deadline);

 private:
  Screen() = default;
  void Enter();
  void Leave();
  // Gives the terminal back, stops this process as Ctrl-Z does, and takes it
  // again when it is continued.
  void Suspend();

  os::UniqueFd signals_;
  sigset_t old_mask_ = {};
  bool keys_ = false;
  bool entered_ = false;
  termios old_mode_ = {};
};

}  // namespace pinion::tools

#endif  // PINION_TOOLS_SCREEN_H_
