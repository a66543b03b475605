// piniond: reads the configuration, builds the daemon, waits for signals.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/cpu_set.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "daemon/config_file.h"
#include "daemon/flags.h"
#include "daemon/notify.h"
#include "daemon/pinning_check.h"
#include "daemon/process_setup.h"
#include "daemon/self_check.h"
#include "daemon/wiring.h"
#include "os/resident.h"
#include "os/standard_output.h"

namespace pinion::daemon {
namespace {

constexpr int kUsage = 2;

// Before there is a log: a sentence on standard error.
int Complain(const absl::Status& status, int code) {
  std::fprintf(stderr, "piniond: %s\n", std::string(status.message()).c_str());
  return code;
}

// The end of what only prints.
int Printed() {
  const absl::Status flushed = os::FlushStandardOutput();
  return flushed.ok() ? 0 : Complain(flushed, 1);
}

// The signals that Wait takes, blocked in every thread made from now on.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A client that hangs up is an error of write(2), not our end.
  signal(SIGPIPE, SIG_IGN);
  return set;
}

void Reload(const Flags& flags, Config* config, Daemon* daemon) {
  NotifyReloading();
  const auto read = LoadConfig(flags);
  if (!read.ok()) {
    Log(LogLevel::kError, "configuration not reloaded",
        {{"error", std::string(read.status().message())}});
    return;
  }
  std::vector<std::string> applied;
  std::vector<std::string> waiting;
  for (const std::string& name : ChangedKeys(*config, *read)) {
    const ConfigKey* key = FindConfigKey(name);
    const bool reloadable = key != nullptr && key->reloadable;
    (reloadable ? applied : waiting).push_back(name);
    if (!reloadable) continue;
    // Valid: it comes from a configuration that was accepted.
    (void)key->apply(key->show(*read), config);
  }
  SetLogLevel(config->log_level);
  daemon->SetConfig(*config);
  Log(LogLevel::kInfo, "configuration reloaded",
      {{"applied", absl::StrJoin(applied, ",")}});
  if (!waiting.empty()) {
    Log(LogLevel::kWarning, "changed, but needs a restart (pods go on running)",
        {{"keys", absl::StrJoin(waiting, ",")}});
  }
}

// Until SIGTERM or SIGINT.
void Wait(const sigset_t& signals, const Flags& flags, Config* config,
          Daemon* daemon) {
  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) {
      Log(LogLevel::kInfo, "stopping; pods go on running",
          {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      return;
    }
    Reload(flags, config, daemon);
    NotifyReady(daemon->Summary());
  }
}

int Serve(const Flags& flags, Config config) {
  const sigset_t signals = BlockSignals();
  umask(022);
  TuneMalloc();
  SetUpLogging(config.log_level, config.log_format);
  RaiseFileLimit();
  ProtectFromOomKiller();
  if (config.cpu.pinning) {
    const absl::Status possible = CheckPinning(config);
    if (!possible.ok()) return Complain(possible, 1);
    // Parsed before: the configuration's check.
    const auto reserved = CpuSet::Parse(config.cpu.reserved);
    const absl::Status status =
        reserved.ok() ? StayOnCpus(*reserved) : reserved.status();
    if (!status.ok()) {
      return Complain(
          Annotate(status, "cpu.reserved: one of these CPUs has to be online"),
          1);
    }
  }
  const Stopwatch watch;
  auto daemon = Daemon::Start(config);
  if (!daemon.ok()) return Complain(daemon.status(), 1);
  // Half of what is resident by now only the start needed.
  os::DropCleanPages();
  const std::string summary = (*daemon)->Summary();
  Log(LogLevel::kInfo, "serving",
      {{"version", kVersion},
       {"commit", kCommit},
       {"socket", config.SocketPath()},
       {"setup", summary},
       {"seconds", watch.Seconds()}});
  NotifyReady(summary);
  std::optional<Watchdog> watchdog;
  if (WatchdogInterval().count() > 0) {
    watchdog.emplace(WatchdogInterval(), NewSelfCheck(config.SocketPath()));
  }
  Wait(signals, flags, &config, daemon->get());
  NotifyStopping();
  watchdog.reset();
  const absl::Status stopped = (*daemon)->Stop();
  if (!stopped.ok()) {
    // Destroying what handlers still use is no option; everything that must
    // last is on disk.
    Log(LogLevel::kWarning, "stopping all the same",
        {{"reason", std::string(stopped.message())}});
    _exit(0);
  }
  return 0;
}

int Main(const std::vector<std::string>& arguments) {
  OpenStandardStreams();
  const auto flags = ParseFlags(arguments);
  if (!flags.ok()) return Complain(flags.status(), kUsage);
  if (flags->help) {
    std::fputs(HelpText().c_str(), stdout);
    return Printed();
  }
  if (flags->version) {
    std::printf("piniond %s (%s)\n", kVersion, kCommit);
    return Printed();
  }
  auto config = LoadConfig(*flags);
  if (!config.ok()) return Complain(config.status(), 1);
  if (flags->check_config) {
    const absl::Status check = Daemon::Check(*config);
    if (!check.ok()) return Complain(check, 1);
    const std::string path =
        flags->config.empty() ? kDefaultConfigPath : flags->config;
    const bool there = access(path.c_str(), F_OK) == 0;
    std::printf("%s: %s\n", path.c_str(),
                there ? "fine" : "not there; the defaults are fine");
    return Printed();
  }
  if (geteuid() != 0) {
    return Complain(absl::PermissionDeniedError("must run as root"), 1);
  }
  return Serve(*flags, *config);
}

}  // namespace
}  // namespace pinion::daemon

int main(int argc, char** argv) {
  return pinion::daemon::Main(std::vector<std::string>(argv + 1, argv + argc));
}
