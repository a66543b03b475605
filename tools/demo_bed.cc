#include "tools/demo_bed.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"

extern char** environ;

namespace pinion::tools {
namespace {

constexpr std::chrono::seconds kDaemonStart{20};
constexpr std::chrono::seconds kDaemonStop{20};

// The directory that this program is in.
std::string BinaryDirectory() {
  char path[4096] = {};
  if (readlink("/proc/self/exe", path, sizeof(path) - 1) <= 0) return "";
  const std::string text = path;
  return text.substr(0, text.rfind('/'));
}

// posix_spawn with both outputs in a file.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& words,
                            const std::string& output,
                            const std::vector<std::string>& more_env) {
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  std::vector<char*> env;
  for (char** item = environ; *item != nullptr; ++item) {
    if (!absl::StartsWith(*item, "NOTIFY_SOCKET=")) env.push_back(*item);
  }
  for (const std::string& item : more_env) {
    env.push_back(const_cast<char*>(item.c_str()));
  }
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  // A group of its own: Ctrl-C at the terminal is for the demo, which then
  // ends what it started in order.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawn(&pid, words[0].c_str(), &actions, &attributes,
                                arguments.data(), env.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return os::ErrnoStatus(error, absl::StrCat("start ", words[0]));
  }
  return pid;
}

std::string ReadOrEmpty(const std::string& path) {
  auto text = os::ReadFileAt(AT_FDCWD, path, 16 << 20);
  return text.ok() ? *text : std::string();
}

// Runs to its end; the output, or an error with its last line.
absl::StatusOr<std::string> RunToEnd(const std::vector<std::string>& words,
                                     const std::string& output) {
  unlink(output.c_str());
  PINION_ASSIGN_OR_RETURN(const pid_t pid, Spawn(words, output, {}));
  int how = 0;
  waitpid(pid, &how, 0);
  std::string text =
      std::string(absl::StripAsciiWhitespace(ReadOrEmpty(output)));
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return text;
  return absl::InternalError(
      absl::StrCat(absl::StrJoin(words, " "), ": ", text));
}

absl::Status RaiseLoopback() {
  const os::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return os::ErrnoStatus("bring up lo");
  }
  return absl::OkStatus();
}

// The mount point of cgroup v2; empty if there is none.
std::string FindCgroupRoot() {
  for (const std::string& line : std::vector<std::string>(
           absl::StrSplit(ReadOrEmpty("/proc/self/mounts"), '\n'))) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 2 && fields[2] == "cgroup2") return fields[1];
  }
  return "";
}

// Waits for READY=1 on the notify socket, or for the daemon's end.
absl::Status AwaitReady(int notify, pid_t daemon) {
  const auto deadline = std::chrono::steady_clock::now() + kDaemonStart;
  while (std::chrono::steady_clock::now() < deadline) {
    pollfd ready = {notify, POLLIN, 0};
    if (poll(&ready, 1, 100) == 1) {
      char buffer[4096] = {};
      const ssize_t n = recv(notify, buffer, sizeof(buffer) - 1, 0);
      if (n > 0 && absl::StrContains(buffer, "READY=1")) {
        return absl::OkStatus();
      }
    }
    siginfo_t info = {};
    if (waitid(P_PID, static_cast<id_t>(daemon), &info,
               WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == daemon) {
      return absl::InternalError("piniond ended while it started");
    }
  }
  return absl::DeadlineExceededError("piniond is not ready after 20 s");
}

// A cgroup's files are not its children: only directories are removed.
void RemoveCgroups(const std::string& directory) {
  const auto names = os::ListDirAt(AT_FDCWD, directory);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat st = {};
    if (stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      RemoveCgroups(path);
    }
  }
  rmdir(directory.c_str());
}

std::vector<pid_t> Children() {
  std::vector<pid_t> pids;
  for (const std::string& word : std::vector<std::string>(absl::StrSplit(
           ReadOrEmpty(absl::StrCat("/proc/self/task/", getpid(), "/children")),
           ' ', absl::SkipWhitespace()))) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(word, &pid)) pids.push_back(pid);
  }
  return pids;
}

}  // namespace

absl::StatusOr<std::string> DemoBed::Prepare() {
  if (geteuid() != 0) {
    return absl::PermissionDeniedError("the demo needs root: it runs a pod");
  }
  // Monitors outlive the daemon; what it leaves behind comes to us.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  char name[] = "/tmp/pinion-demo-XXXXXX";
  if (mkdtemp(name) == nullptr) return os::ErrnoStatus("mkdtemp in /tmp");
  scratch_ = name;
  PINION_RETURN_IF_ERROR(os::MakeDirs(log_directory(), 0755));
  if (unshare(CLONE_NEWNET) != 0) return os::ErrnoStatus("unshare net");
  PINION_RETURN_IF_ERROR(RaiseLoopback());
  PINION_RETURN_IF_ERROR(MakeCgroupParent());
  return absl::StrCat(scratch_, ", a network namespace, ",
                      systemd_ ? "systemd's cgroups" : "cgroupfs");
}

absl::Status DemoBed::MakeCgroupParent() {
  cgroup_root_ = FindCgroupRoot();
  if (cgroup_root_.empty()) {
    return absl::FailedPreconditionError(
        "no cgroup v2 is mounted (pinionctl doctor says how to switch)");
  }
  const std::string controllers =
      ReadOrEmpty(absl::StrCat(cgroup_root_, "/cgroup.controllers"));
  limits_work_ = absl::StrContains(controllers, "memory") &&
                 absl::StrContains(controllers, "pids");
  systemd_ = access("/run/systemd/system", F_OK) == 0;
  if (systemd_) {
    cgroup_parent_ = "piniondemo.slice";
    return absl::OkStatus();
  }
  cgroup_parent_ = absl::StrCat("/pn-demo-", getpid());
  cgroup_directory_ = absl::StrCat(cgroup_root_, cgroup_parent_);
  return os::MakeDirAt(AT_FDCWD, cgroup_directory_, 0755);
}

absl::StatusOr<std::string> DemoBed::StartRegistry() {
  // Beside the build tree that this program is in: build/bin/pinionctl.
  const std::string binaries = BinaryDirectory();
  for (const char* up : {"/../..", "/../../..", ""}) {
    const std::string candidate =
        absl::StrCat(binaries, up, "/tests/conformance/registry");
    if (access(candidate.c_str(), X_OK) == 0) kit_ = candidate;
  }
  if (kit_.empty()) {
    return absl::NotFoundError(
        "the repository's registry kit is not beside this program; name an "
        "image of a registry that can be reached: pinionctl demo --image REF");
  }
  const std::string directory = absl::StrCat(scratch_, "/registry");
  std::vector<std::string> start = {kit_, "start", directory, "0"};
  // What a test bed without compilers brings along (tests/vm).
  const std::string filled =
      absl::StrCat(kit_.substr(0, kit_.rfind("/tests/")), "/registry-filled");
  if (access(filled.c_str(), F_OK) == 0) {
    start.insert(start.end(), {"--filled", filled});
  }
  PINION_ASSIGN_OR_RETURN(
      const std::string address,
      RunToEnd(start, absl::StrCat(scratch_, "/registry.log")));
  hosts_directory_ = absl::StrCat(directory, "/hosts");
  return absl::StrCat("docker-registry on ",
                      address.substr(address.rfind('\n') + 1));
}

absl::Status DemoBed::WriteConfig() const {
  return os::ReplaceFileAt(
      AT_FDCWD, absl::StrCat(scratch_, "/pinion.toml"),
      absl::StrCat(
          "root = \"", scratch_, "/root\"\nstate = \"", scratch_,
          "/state\"\n[metrics]\naddress = \"127.0.0.1:", metrics_port_,
          "\"\n[cgroup]\nmissing_controllers = \"",
          limits_work_ ? "refuse" : "ignore",
          "\"\n[network]\nmode = \"macvlan\"\nparent = \"auto\"\n"
          "range = \"10.88.0.0/24\"\n[image]\n"
          "registry_config_dir = \"",
          hosts_directory_.empty() ? "/etc/pinion/certs.d" : hosts_directory_,
          "\"\n"),
      0600);
}

absl::StatusOr<std::string> DemoBed::StartDaemon() {
  PINION_RETURN_IF_ERROR(WriteConfig());
  const os::UniqueFd notify(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = absl::StrCat(scratch_, "/notify");
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (bind(notify.get(), reinterpret_cast<sockaddr*>(&address),
           sizeof(address)) != 0) {
    return os::ErrnoStatus(absl::StrCat("bind ", path));
  }
  PINION_ASSIGN_OR_RETURN(
      daemon_, Spawn({absl::StrCat(BinaryDirectory(), "/piniond"), "--config",
                      absl::StrCat(scratch_, "/pinion.toml")},
                     absl::StrCat(scratch_, "/piniond.log"),
                     {absl::StrCat("NOTIFY_SOCKET=", path)}));
  PINION_RETURN_IF_ERROR(AwaitReady(notify.get(), daemon_));
  return absl::StrCat("pid ", daemon_, ", READY on ", socket());
}

absl::StatusOr<std::string> DemoBed::StopDaemon() {
  if (daemon_ < 0) return std::string("was not running");
  kill(daemon_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kDaemonStop;
  int how = 0;
  pid_t ended = 0;
  while (std::chrono::steady_clock::now() < deadline &&
         (ended = waitpid(daemon_, &how, WNOHANG)) == 0) {
    // Nothing tells of one child's end with a time-out but polling.
    poll(nullptr, 0, 10);
  }
  if (ended == 0) {
    kill(daemon_, SIGKILL);
    waitpid(daemon_, nullptr, 0);
  }
  daemon_ = -1;
  if (ended == 0) return absl::DeadlineExceededError("piniond did not stop");
  if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) {
    return absl::InternalError(absl::StrCat("piniond ended with status ", how));
  }
  return std::string("exit code 0");
}

void DemoBed::KillStrays() const {
  // Each round makes the next generation ours; containers are two below.
  for (int round = 0; round < 50; ++round) {
    const std::vector<pid_t> children = Children();
    if (children.empty()) return;
    for (const pid_t pid : children) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
}

DemoBed::~DemoBed() {
  if (daemon_ >= 0) (void)StopDaemon();
  if (!kit_.empty()) {
    (void)RunToEnd({kit_, "stop", absl::StrCat(scratch_, "/registry")},
                   absl::StrCat(scratch_, "/registry.log"));
  }
  KillStrays();
  if (!cgroup_directory_.empty()) RemoveCgroups(cgroup_directory_);
  if (systemd_) {
    // Systemd made the slice with the first pod, and keeps it until told.
    (void)RunToEnd({"/usr/bin/systemctl", "stop", cgroup_parent_},
                   absl::StrCat(scratch_, "/systemctl.log"));
  }
  if (!keep_ && !scratch_.empty()) {
    (void)os::RemoveTreeAt(AT_FDCWD, scratch_);
  }
}

std::string DemoBed::DaemonLogTail() const {
  const std::vector<std::string> lines =
      absl::StrSplit(ReadOrEmpty(absl::StrCat(scratch_, "/piniond.log")), '\n');
  const size_t from = lines.size() > 15 ? lines.size() - 15 : 0;
  return absl::StrJoin(lines.begin() + static_cast<ptrdiff_t>(from),
                       lines.end(), "\n");
}

}  // namespace pinion::tools
