#include "tools/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_replace.h"
#include "os/error.h"

namespace pinion::tools {
namespace {

// xterm's control sequences, which every terminal of today understands.
constexpr char kEnter[] = "\033[?1049h\033[?25l\033[H\033[J";
constexpr char kLeave[] = "\033[?25h\033[?1049l";

void Write(const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n =
        write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the terminal is gone: the next Wait ends
    done += static_cast<size_t>(n);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Screen>> Screen::Open() {
  std::unique_ptr<Screen> screen(new Screen);
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number :
       {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH}) {
    sigaddset(&mask, number);
  }
  screen->signals_ =
      os::UniqueFd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!screen->signals_.valid()) return os::ErrnoStatus("signalfd");
  sigprocmask(SIG_BLOCK, &mask, &screen->old_mask_);
  screen->keys_ = tcgetattr(STDIN_FILENO, &screen->old_mode_) == 0;
  return screen;
}

Screen::~Screen() {
  if (!signals_.valid()) return;
  if (entered_) Leave();
  sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

void Screen::Enter() {
  if (keys_) {
    termios mode = old_mode_;
    mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
  }
  Write(kEnter);
}

void Screen::Leave() {
  Write(kLeave);
  if (keys_) tcsetattr(STDIN_FILENO, TCSANOW, &old_mode_);
}

void Screen::Suspend() {
  if (entered_) Leave();
  raise(SIGSTOP);
  if (entered_) Enter();
}

size_t Screen::lines() const {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) {
    return 24;
  }
  return size.ws_row;
}

void Screen::Show(const std::string& text) {
  if (!entered_) Enter();
  entered_ = true;
  // Each line ends with what was there before erased; so does the whole. The
  // last line break is left out: it would scroll a full screen.
  std::string lines = text;
  if (!lines.empty() && lines.back() == '\n') lines.pop_back();
  Write("\033[H" + absl::StrReplaceAll(lines, {{"\n", "\033[K\r\n"}}) +
        "\033[K\033[J");
}

Screen::Event Screen::Wait(std::chrono::steady_clock::time_point deadline) {
  while (true) {
    pollfd fds[2] = {{signals_.get(), POLLIN, 0},
                     {keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const int timeout =
        static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
    if (poll(fds, 2, timeout) == 0) return {};
    signalfd_siginfo signal = {};
    if (read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
      if (signal.ssi_signo == SIGTSTP) Suspend();
      if (signal.ssi_signo == SIGTSTP || signal.ssi_signo == SIGWINCH) {
        return {Event::Kind::kResize, 0};
      }
      return {Event::Kind::kEnd, 0};
    }
    if (fds[1].revents == 0) continue;
    char key = 0;
    const ssize_t n = read(STDIN_FILENO, &key, 1);
    if (n == 1) return {Event::Kind::kKey, key};
    // Hung up: no key will come.
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      return {Event::Kind::kEnd, 0};
    }
    if (n == 0 && (fds[1].revents & POLLHUP) != 0) {
      return {Event::Kind::kEnd, 0};
    }
  }
}

}  // namespace pinion::tools
