#include "cri/translate_signal.h"

#include <csignal>

namespace pinion::cri {
namespace {

constexpr int32_t kRealTimeMin = 34;
constexpr int32_t kRealTimeMax = 64;

struct Pair {
  api::Signal name;
  int32_t number;
};

// Aliases come after the usual name.
constexpr Pair kClassic[] = {
    {api::SIGNAL_RUNTIME_DEFAULT, 0},   {api::SIGNAL_SIGABRT, SIGABRT},
    {api::SIGNAL_SIGALRM, SIGALRM},     {api::SIGNAL_SIGBUS, SIGBUS},
    {api::SIGNAL_SIGCHLD, SIGCHLD},     {api::SIGNAL_SIGCLD, SIGCHLD},
    {api::SIGNAL_SIGCONT, SIGCONT},     {api::SIGNAL_SIGFPE, SIGFPE},
    {api::SIGNAL_SIGHUP, SIGHUP},       {api::SIGNAL_SIGILL, SIGILL},
    {api::SIGNAL_SIGINT, SIGINT},       {api::SIGNAL_SIGIO, SIGIO},
    {api::SIGNAL_SIGIOT, SIGABRT},      {api::SIGNAL_SIGKILL, SIGKILL},
    {api::SIGNAL_SIGPIPE, SIGPIPE},     {api::SIGNAL_SIGPOLL, SIGIO},
    {api::SIGNAL_SIGPROF, SIGPROF},     {api::SIGNAL_SIGPWR, SIGPWR},
    {api::SIGNAL_SIGQUIT, SIGQUIT},     {api::SIGNAL_SIGSEGV, SIGSEGV},
    {api::SIGNAL_SIGSTKFLT, SIGSTKFLT}, {api::SIGNAL_SIGSTOP, SIGSTOP},
    {api::SIGNAL_SIGSYS, SIGSYS},       {api::SIGNAL_SIGTERM, SIGTERM},
    {api::SIGNAL_SIGTRAP, SIGTRAP},     {api::SIGNAL_SIGTSTP, SIGTSTP},
    {api::SIGNAL_SIGTTIN, SIGTTIN},     {api::SIGNAL_SIGTTOU, SIGTTOU},
    {api::SIGNAL_SIGURG, SIGURG},       {api::SIGNAL_SIGUSR1, SIGUSR1},
    {api::SIGNAL_SIGUSR2, SIGUSR2},     {api::SIGNAL_SIGVTALRM, SIGVTALRM},
    {api::SIGNAL_SIGWINCH, SIGWINCH},   {api::SIGNAL_SIGXCPU, SIGXCPU},
    {api::SIGNAL_SIGXFSZ, SIGXFSZ},
};

// The real-time names are consecutive on both sides: SIGRTMIN … SIGRTMIN+15,
// SIGRTMAX-14 … SIGRTMAX are 31 values for the numbers 34 … 64.
static_assert(api::SIGNAL_SIGRTMAX - api::SIGNAL_SIGRTMIN ==
              kRealTimeMax - kRealTimeMin);

}  // namespace

absl::StatusOr<int32_t> ToSignalNumber(const Field& field, api::Signal signal) {
  if (signal >= api::SIGNAL_SIGRTMIN && signal <= api::SIGNAL_SIGRTMAX) {
    return kRealTimeMin + (signal - api::SIGNAL_SIGRTMIN);
  }
  for (const Pair& pair : kClassic) {
    if (pair.name == signal) return pair.number;
  }
  return Refuse(field, static_cast<int64_t>(signal), "is no signal of the CRI");
}

api::Signal FromSignalNumber(int32_t number) {
  if (number >= kRealTimeMin && number <= kRealTimeMax) {
    return static_cast<api::Signal>(api::SIGNAL_SIGRTMIN +
                                    (number - kRealTimeMin));
  }
  for (const Pair& pair : kClassic) {
    if (pair.number == number) return pair.name;
  }
  return api::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace pinion::cri
