// `pinionctl doctor`: can pods run on this machine, and if not, what to do.
//
// Collecting (doctor_facts.cc, doctor_trials.cc) and judging (doctor.cc) are
// apart, so that every verdict can be tested without the machine it is about.

#ifndef PINION_TOOLS_DOCTOR_H_
#define PINION_TOOLS_DOCTOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/cpu_set.h"
#include "daemon/config.h"
#include "tools/terminal.h"

namespace pinion::tools {

// Something that was done for real in a throw-away namespace.
struct Trial {
  bool ok = false;
  std::string error;  // "unshare user: EPERM"
};

struct NamespaceTrial {
  std::string name;  // "mnt", "pid", "net", "ipc", "uts", "cgroup", "user"
  Trial trial;
};

enum class CgroupLayout { kUnified, kHybrid, kLegacy, kNone };

// A network of [network.secondary].
struct SecondaryFacts {
  std::string network;
  std::string parent;
  std::optional<bool> parent_up;  // nullopt: no such device
};

// [cpu] of the configuration, and the machine's.
struct CpuFacts {
  bool pinning = false;             // cpu.policy = "static"
  bool missing_is_ignored = false;  // cgroup.missing_controllers
  CpuSet reserved;
  CpuSet present;
};

struct Facts {
  bool root = false;
  std::string kernel;  // "6.18.1-amd64"
  int kernel_major = 0;
  int kernel_minor = 0;

  CgroupLayout cgroup_layout = CgroupLayout::kNone;
  std::vector<std::string> cgroup_controllers;  // of the v2 root

  bool systemd_is_pid1 = false;
  std::string systemd_version;  // "252.39-1"; empty: not installed

  bool overlay_known = false;  // /proc/filesystems
  std::string root_directory;
  Trial overlay;  // a detached mount with its upper in root_directory
  std::vector<NamespaceTrial> namespaces;
  Trial macvlan;
  // Where the configuration asks for it.
  std::optional<Trial> ipvlan;

  std::string parent = "auto";    // network.parent of the configuration
  std::optional<bool> parent_up;  // nullopt: "auto", or no such device
  std::vector<SecondaryFacts> secondary;

  bool seccomp = false;
  Trial cgroup_bpf;

  uint64_t nofile_hard = 0;
  uint64_t pid_max = 0;
  uint64_t inotify_instances = 0;
  uint64_t inotify_watches = 0;
  bool cap_sys_resource = false;

  CpuFacts cpu;

  uint64_t disk_free = 0;
  uint64_t disk_total = 0;
  uint64_t inodes_free = 0;
};

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string subject;  // "cgroups"
  std::string text;     // what was found
  std::string fix;      // empty when fine
};

// Looks at the machine. Trials run in children with namespaces of their own;
// nothing is left. `root` and `parent` are of the configuration.
Facts CollectFacts(const std::string& root, const std::string& parent);

CpuFacts CollectCpuFacts(const daemon::Config& config);

// Whether the device is up; nullopt: there is none of this name.
std::optional<bool> IsDeviceUp(const std::string& name);

std::vector<Finding> Judge(const Facts& facts);

std::string RenderFindings(const std::vector<Finding>& findings,
                           const Terminal& terminal);
std::string FindingsJson(const std::vector<Finding>& findings);

// 0, or 1 if something is kFail.
int DoctorExitCode(const std::vector<Finding>& findings);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_DOCTOR_H_
