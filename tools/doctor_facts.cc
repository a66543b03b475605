// What the doctor looks up; the experiments are in doctor_trials.cc.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/reserved_cpus.h"
#include "os/file.h"
#include "tools/doctor.h"
#include "tools/doctor_trials.h"

namespace pinion::tools {
namespace {

std::string Read(const std::string& path) {
  auto text = os::ReadFileAt(AT_FDCWD, path);
  return text.ok() ? *text : std::string();
}

uint64_t ReadNumber(const std::string& path) {
  uint64_t value = 0;
  (void)absl::SimpleAtoi(Read(path), &value);
  return value;
}

void CollectKernel(Facts* facts) {
  utsname name = {};
  if (uname(&name) != 0) return;
  facts->kernel = name.release;
  (void)std::sscanf(name.release, "%d.%d", &facts->kernel_major,
                    &facts->kernel_minor);
  for (const std::string& line : std::vector<std::string>(
           absl::StrSplit(Read("/proc/filesystems"), '\n'))) {
    facts->overlay_known |= absl::EndsWith(line, "\toverlay");
  }
  const uint32_t action = SECCOMP_RET_ERRNO;
  facts->seccomp =
      syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
}

void CollectCgroups(Facts* facts) {
  bool v1 = false;
  std::string v2_root;
  for (const std::string& line : std::vector<std::string>(
           absl::StrSplit(Read("/proc/self/mounts"), '\n'))) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 3) continue;
    v1 = v1 || fields[2] == "cgroup";
    if (fields[2] == "cgroup2" && v2_root.empty()) v2_root = fields[1];
  }
  facts->cgroup_layout = v2_root.empty()
                             ? v1 ? CgroupLayout::kLegacy : CgroupLayout::kNone
                         : v1 ? CgroupLayout::kHybrid
                              : CgroupLayout::kUnified;
  if (v2_root.empty()) return;
  std::string controllers = Read(absl::StrCat(v2_root, "/cgroup.controllers"));
  facts->cgroup_controllers =
      absl::StrSplit(controllers, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

void CollectSystemd(Facts* facts) {
  // sd_booted(3).
  facts->systemd_is_pid1 = access("/run/systemd/system", F_OK) == 0;
  if (!facts->systemd_is_pid1) return;
  // NOLINTNEXTLINE(cert-env33-c): a fixed command.
  FILE* pipe = popen("systemctl --version 2>/dev/null", "re");
  if (pipe == nullptr) return;
  char line[256] = {};
  if (std::fgets(line, sizeof(line), pipe) != nullptr) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() > 1) facts->systemd_version = words[1];
  }
  pclose(pipe);
}

void CollectLimits(Facts* facts) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    facts->nofile_hard = limit.rlim_max;
  facts->pid_max = ReadNumber("/proc/sys/kernel/pid_max");
  facts->inotify_instances =
      ReadNumber("/proc/sys/fs/inotify/max_user_instances");
  facts->inotify_watches = ReadNumber("/proc/sys/fs/inotify/max_user_watches");
  facts->cap_sys_resource =
      prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1;
}

void CollectDisk(Facts* facts) {
  // The file system that root will be on.
  std::string path = facts->root_directory;
  struct statvfs disk = {};
  while (statvfs(absl::StrCat(path, "/").c_str(), &disk) != 0) {
    if (path.empty()) return;
    path.resize(path.rfind('/'));
  }
  facts->disk_free = uint64_t{disk.f_bavail} * disk.f_frsize;
  facts->disk_total = uint64_t{disk.f_blocks} * disk.f_frsize;
  facts->inodes_free = disk.f_favail;
}

}  // namespace

CpuFacts CollectCpuFacts(const daemon::Config& config) {
  CpuFacts facts;
  facts.pinning = config.cpu.pinning;
  facts.missing_is_ignored = config.cgroup.ignore_missing_controllers;
  // Parsed before: the configuration's check.
  facts.reserved = CpuSet::Parse(config.cpu.reserved).value_or(CpuSet());
  facts.present = daemon::PresentCpus("/sys/devices/system").value_or(CpuSet());
  return facts;
}

std::optional<bool> IsDeviceUp(const std::string& name) {
  if (if_nametoindex(name.c_str()) == 0) return std::nullopt;
  const std::string state =
      Read(absl::StrCat("/sys/class/net/", name, "/operstate"));
  // Devices without a notion of a carrier are "unknown" when they are up.
  return absl::StartsWith(state, "up") || absl::StartsWith(state, "unknown");
}

Facts CollectFacts(const std::string& root, const std::string& parent) {
  Facts facts;
  facts.root = geteuid() == 0;
  facts.root_directory = root;
  facts.parent = parent;
  CollectKernel(&facts);
  CollectCgroups(&facts);
  CollectSystemd(&facts);
  CollectLimits(&facts);
  CollectDisk(&facts);
  if (parent != "auto") facts.parent_up = IsDeviceUp(parent);
  if (!facts.root) return facts;
  facts.overlay = TryOverlay(root);
  facts.namespaces = TryNamespaces();
  facts.macvlan = TryMacvlan();
  facts.cgroup_bpf = TryCgroupBpf();
  // A trial may have made the kernel load the module.
  facts.overlay_known = facts.overlay_known || facts.overlay.ok;
  return facts;
}

}  // namespace pinion::tools
