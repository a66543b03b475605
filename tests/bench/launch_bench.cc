// From Launch() to exec, beside the kernel's floor in the same run: a child
// of clone3 that mounts an overlay and /proc, pivots and execs.
//
//   launch_bench [ROUNDS]
//
// Needs root and Debian's busybox-static; works in a mount namespace of its
// own below /tmp.

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "os/file.h"
#include "runtime/launch/launch.h"
#include "runtime/launch/plan_writer.h"
#include "runtime/launch/pod_shm.h"
#include "runtime/plan/capabilities.h"
#include "runtime/plan/devices.h"
#include "runtime/plan/rootfs_defaults.h"
#include "runtime/plan/seccomp.h"

namespace pinion {
namespace {

using launch::LaunchSpec;
using Clock = std::chrono::steady_clock;

// One kind of launch: how long until exec, and the CPU time of parent and
// child until the child has ended, which other load disturbs less.
struct Series {
  std::vector<double> until_exec_us;
  std::vector<double> cpu_us;
};

std::string dir;
int next_container = 0;

[[noreturn]] void Fatal(const std::string& what) {
  std::fprintf(stderr, "launch_bench: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

double CpuMicroseconds() {
  double sum = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    struct rusage usage = {};
    getrusage(who, &usage);
    for (const timeval& t : {usage.ru_utime, usage.ru_stime}) {
      sum +=
          static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
    }
  }
  return sum;
}

double MicrosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start)
      .count();
}

std::string MakeContainerDirs() {
  const std::string name = "c/" + std::to_string(++next_container);
  if (!os::MakeDirs(dir + "/" + name + "/upper", 0755).ok() ||
      !os::MakeDirs(dir + "/" + name + "/work", 0700).ok()) {
    Fatal(name);
  }
  return name;
}

// Runs `start`, which returns the report's descriptor and sets the pid; waits
// for the end of file that exec makes of the report, then reaps.
void Time(const std::function<int(pid_t*)>& start, Series& series) {
  const double cpu = CpuMicroseconds();
  const auto begin = Clock::now();
  pid_t pid = -1;
  const int report = start(&pid);
  struct pollfd fd = {report, POLLIN, 0};
  poll(&fd, 1, -1);
  series.until_exec_us.push_back(MicrosecondsSince(begin));
  char byte;
  if (read(report, &byte, 1) != 0) Fatal("the child failed");
  close(report);
  waitpid(pid, nullptr, 0);
  series.cpu_us.push_back(CpuMicroseconds() - cpu);
}

void FloorChild(const std::string& data) {
  mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr);
  if (chdir(dir.c_str()) != 0 ||
      mount("overlay", ".", "overlay", 0, data.c_str()) != 0 ||
      chdir(dir.c_str()) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0 ||
      mount("proc", "/proc", "proc", 0, nullptr) != 0) {
    _exit(1);
  }
  execl("/usr/bin/busybox", "true", nullptr);
  _exit(1);
}

void Floor(Series& series) {
  const std::string name = MakeContainerDirs();
  const std::string data =
      "lowerdir=layers/1,upperdir=" + name + "/upper,workdir=" + name + "/work";
  Time(
      [&](pid_t* pid) {
        int report[2];
        if (pipe2(report, O_CLOEXEC) != 0) Fatal("pipe");
        struct clone_args args = {};
        args.flags = CLONE_NEWNS | CLONE_NEWPID;
        args.exit_signal = SIGCHLD;
        *pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
        if (*pid == 0) FloorChild(data);
        close(report[1]);
        return report[0];
      },
      series);
}

launch::Launched StartPlan(const std::string& plan,
                           const launch::LaunchFds& fds) {
  launch::Launched launched;
  launch::Failure failure;
  if (launch::Launch(plan.data(), plan.size(), fds, &launched, &failure) != 0) {
    errno = failure.error;
    Fatal(launch::StepName(failure.step));
  }
  return launched;
}

void Measured(const LaunchSpec& spec, const launch::LaunchFds& fds,
              Series& series) {
  const std::string plan = launch::EncodePlan(spec);
  Time(
      [&](pid_t* pid) {
        const launch::Launched launched = StartPlan(plan, fds);
        close(launched.pidfd);
        *pid = launched.pid;
        return launched.report_fd;
      },
      series);
}

LaunchSpec Bare() {
  const std::string name = MakeContainerDirs();
  LaunchSpec spec;
  spec.argv = {"/usr/bin/busybox", "true"};
  spec.rootfs.base_dir = dir;
  spec.rootfs.lowers = {"layers/1"};
  spec.rootfs.upper = name + "/upper";
  spec.rootfs.work = name + "/work";
  spec.capabilities =
      plan::CompileCapabilities({}, plan::AvailableCapabilities(), 0).value();
  spec.kernel_mounts = {{"proc", "/proc", "", 0}};
  spec.devices = {{"/dev/null", 'c', 1, 3, 0666, 0, 0}};
  return spec;
}

// What the kubelet asks of an ordinary container.
LaunchSpec Ordinary() {
  LaunchSpec spec = Bare();
  spec.kernel_mounts.clear();
  plan::RootfsOptions options;
  options.pod_shm = true;
  plan::AddRootfsDefaults(options, spec);
  spec.devices = plan::CompileDevices({}, false)->nodes;
  spec.masked_paths = plan::DefaultMaskedPaths();
  spec.readonly_paths = plan::DefaultReadonlyPaths();
  for (const char* target : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
                             "/dev/termination-log"}) {
    launch::BindMount mount;
    mount.source = dir + "/file";
    mount.target = target;
    spec.mounts.push_back(mount);
  }
  launch::BindMount token;
  token.source = dir + "/token";
  token.target = "/var/run/secrets/kubernetes.io/serviceaccount";
  token.readonly = true;
  spec.mounts.push_back(token);
  spec.no_new_privs = true;
  return spec;
}

void SetUp() {
  dir = "/tmp/pn-launch-bench-" + std::to_string(getpid());
  const std::string layer = dir + "/layers/1";
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    Fatal("unshare");
  }
  for (const char* name : {"/usr/bin", "/proc", "/sys", "/dev", "/etc",
                           "/var/run/secrets/kubernetes.io/serviceaccount"}) {
    if (!os::MakeDirs(layer + name, 0755).ok()) Fatal(name);
  }
  for (const char* name : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) {
    close(open((layer + name).c_str(), O_CREAT | O_WRONLY, 0644));
  }
  close(open((dir + "/file").c_str(), O_CREAT | O_WRONLY, 0644));
  mkdir((dir + "/token").c_str(), 0755);
  const std::string copy = "cp /usr/bin/busybox " + layer + "/usr/bin/";
  if (system(copy.c_str()) != 0) Fatal(copy);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Print(const char* name, const Series& series) {
  std::vector<double> us = series.until_exec_us;
  std::sort(us.begin(), us.end());
  std::printf("%-44s p10 %6.0f  p50 %6.0f  p90 %6.0f us  CPU %6.0f us\n", name,
              us[us.size() / 10], us[us.size() / 2], us[us.size() * 9 / 10],
              Median(series.cpu_us));
}

// From exec of `true` to its reaping, which ends the container's mounts, while
// the host's file system holds data that is not on disk yet.
void MeasureEnd(bool is_volatile, Series& series) {
  const os::UniqueFd file(
      open((dir + "/dirty").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  const std::string data(size_t{16} << 20, 'x');
  if (!os::WriteAll(file.get(), data, "dirty").ok()) Fatal("dirty");
  LaunchSpec spec = Bare();
  spec.rootfs.is_volatile = is_volatile;
  const double cpu = CpuMicroseconds();
  const launch::Launched launched = StartPlan(launch::EncodePlan(spec), {});
  struct pollfd report = {launched.report_fd, POLLIN, 0};
  poll(&report, 1, -1);
  const auto start = Clock::now();
  waitpid(launched.pid, nullptr, 0);
  series.until_exec_us.push_back(MicrosecondsSince(start));
  series.cpu_us.push_back(CpuMicroseconds() - cpu);
  close(launched.report_fd);
  close(launched.pidfd);
}

void MeasurePodShm(Series& series) {
  const double cpu = CpuMicroseconds();
  const auto start = Clock::now();
  close(launch::MakePodShm(uint64_t{64} << 20));
  series.until_exec_us.push_back(MicrosecondsSince(start));
  series.cpu_us.push_back(CpuMicroseconds() - cpu);
}

void Measure(int rounds) {
  plan::SeccompCompiler seccomp;
  const std::string filter =
      seccomp.RuntimeDefault(Bare().capabilities.bounding).value();
  launch::LaunchFds fds;
  fds.pod_shm_fd = launch::MakePodShm(uint64_t{64} << 20);
  LaunchSpec keeper = Ordinary();
  keeper.argv = {"/usr/bin/busybox", "sleep", "1000"};
  const launch::Launched kept = StartPlan(launch::EncodePlan(keeper), fds);
  LaunchSpec exec;
  exec.kind = launch::Kind::kExec;
  exec.argv = {"/usr/bin/busybox", "true"};
  exec.target_pid = kept.pid;
  exec.capabilities = keeper.capabilities;
  exec.no_new_privs = true;

  Series floor, bare, ordinary, filtered, exec_bare, exec_filtered, shm;
  Series end, end_volatile, bare_volatile;
  for (int i = 0; i < rounds; ++i) {
    Floor(floor);
    Measured(Bare(), fds, bare);
    LaunchSpec spec = Bare();
    spec.rootfs.is_volatile = true;
    Measured(spec, fds, bare_volatile);
    spec = Ordinary();
    Measured(spec, fds, ordinary);
    spec = Ordinary();
    spec.seccomp_program = filter;
    Measured(spec, fds, filtered);
    exec.seccomp_program.clear();
    Measured(exec, fds, exec_bare);
    exec.seccomp_program = filter;
    Measured(exec, fds, exec_filtered);
    MeasurePodShm(shm);
    MeasureEnd(false, end);
    MeasureEnd(true, end_volatile);
  }
  kill(kept.pid, SIGKILL);
  waitpid(kept.pid, nullptr, 0);
  Print("floor: clone3, overlay, pivot_root, /proc, exec", floor);
  Print("Launch: the same mounts", bare);
  Print("Launch: the same mounts, volatile root", bare_volatile);
  Print("Launch: an ordinary container", ordinary);
  Print("Launch: the same with RuntimeDefault", filtered);
  Print("Launch: exec", exec_bare);
  Print("Launch: exec with RuntimeDefault", exec_filtered);
  Print("MakePodShm", shm);
  Print("end of a container", end);
  Print("end of a container with a volatile root", end_volatile);
  std::printf("filter: %zu instructions\n", filter.size() / 8);
}

}  // namespace
}  // namespace pinion

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, atoi(argv[1])) : 100;
  pinion::SetUp();
  pinion::Measure(rounds);
  return pinion::os::RemoveTreeAt(AT_FDCWD, pinion::dir).ok() ? 0 : 1;
}
