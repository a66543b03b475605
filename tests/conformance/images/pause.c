// The default command of the pause image: waits for a signal to end, and reaps
// what it inherits when it is PID 1 of a shared PID namespace.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t g_ended = 0;

static void OnEnd(int number) {
  (void)number;
  g_ended = 1;
}

static void OnChild(int number) {
  (void)number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction end = {.sa_handler = OnEnd};
  struct sigaction child = {.sa_handler = OnChild, .sa_flags = SA_NOCLDSTOP};
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  // Blocked outside sigsuspend, so that no signal falls between test and wait.
  sigprocmask(SIG_SETMASK, &all, NULL);
  if (sigaction(SIGINT, &end, NULL) != 0 ||
      sigaction(SIGTERM, &end, NULL) != 0 ||
      sigaction(SIGCHLD, &child, NULL) != 0) {
    return 1;
  }
  while (!g_ended) sigsuspend(&none);
  return 0;
}
