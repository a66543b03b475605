// pinion-monitor: started by the daemon with its descriptors in place
// (inherited.h), never by hand.

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "runtime/launch/init.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/monitor.h"
#include "runtime/monitor/template.h"
#include "runtime/monitor/user_namespace_probe.h"

namespace pinion::monitor {
namespace {

// Only the protocol and SIGKILL end the monitor: everything else is blocked
// (not ignored: that would be inherited through exec by what it starts).
int BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

// `first_connection`: see Monitor::Create.
int RunMonitor(int first_connection) {
  prctl(PR_SET_NAME, "pinion-monitor");
  const int signal_fd = BlockSignals();
  if (signal_fd < 0) return 1;
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 1;
  umask(022);
  // What it starts inherits none of the daemon's directories.
  if (chdir("/") != 0) return 1;
  for (const int fd : {kListenFd, kPodDirFd}) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return 1;
  }
  // The number is kept until the pod has its network namespace.
  if (dup3(STDIN_FILENO, kNetnsFd, O_CLOEXEC) < 0) return 1;
  close(kImageFd);

  Monitor monitor(kPodDirFd);
  if (monitor.Create(kListenFd, signal_fd, first_connection) != 0) return 1;
  monitor.Run();
  return 0;
}

// Waits, and makes copies of itself, which become monitors.
int RunTemplate(char* name, size_t size) {
  prctl(PR_SET_NAME, "pinion-template");
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  const int first_connection = ServeTemplate(name, size);
  return first_connection < 0 ? 0 : RunMonitor(first_connection);
}

}  // namespace
}  // namespace pinion::monitor

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--init") == 0) {
    prctl(PR_SET_NAME, "pinion-init");
    pinion::launch::RunPodInit();
  }
  // No pod's id looks like this.
  if (argc == 2 && argv[1][0] == pinion::monitor::kTemplateName[0]) {
    return pinion::monitor::RunTemplate(argv[1], strlen(argv[1]));
  }
  if (argc == 3 && strcmp(argv[1], pinion::monitor::kProbeOption) == 0) {
    return pinion::monitor::ProbeUserNamespaces(argv[2]);
  }
  return pinion::monitor::RunMonitor(-1);
}
