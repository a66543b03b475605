#include "tools/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/reserved_cpus.h"

namespace pinion::tools {
namespace {

constexpr char kSwitchToV2[] =
    "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line "
    "(Debian: GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)";

Finding Ok(const std::string& subject, const std::string& text) {
  return {Verdict::kOk, subject, text, ""};
}

Finding Warn(const std::string& subject, const std::string& text,
             const std::string& fix) {
  return {Verdict::kWarn, subject, text, fix};
}

Finding Fail(const std::string& subject, const std::string& text,
             const std::string& fix) {
  return {Verdict::kFail, subject, text, fix};
}

bool KernelAtLeast(const Facts& facts, int major, int minor) {
  return facts.kernel_major > major ||
         (facts.kernel_major == major && facts.kernel_minor >= minor);
}

Finding JudgeKernel(const Facts& facts) {
  // clone3 with CLONE_INTO_CGROUP is of 5.7, mount_setattr of 5.12,
  // cgroup.kill of 5.14; 5.15 is the first long-term kernel with all.
  if (!KernelAtLeast(facts, 5, 15)) {
    return Fail("kernel", facts.kernel,
                "pinion needs 5.15 (cgroup.kill, mount_setattr); Debian 12's "
                "6.1 is what it is tested with");
  }
  return Ok("kernel", facts.kernel);
}

Finding JudgeCgroups(const Facts& facts) {
  const std::string subject = "cgroups";
  if (facts.cgroup_layout == CgroupLayout::kNone ||
      facts.cgroup_layout == CgroupLayout::kLegacy) {
    return Fail(subject,
                facts.cgroup_layout == CgroupLayout::kNone
                    ? "no cgroup file system is mounted"
                    : "version 1 only",
                absl::StrCat("pinion needs cgroup v2: ", kSwitchToV2));
  }
  std::vector<std::string> missing;
  for (const char* wanted : {"cpu", "cpuset", "memory", "pids"}) {
    const auto& have = facts.cgroup_controllers;
    if (std::find(have.begin(), have.end(), wanted) == have.end()) {
      missing.push_back(wanted);
    }
  }
  const bool hybrid = facts.cgroup_layout == CgroupLayout::kHybrid;
  const std::string layout = hybrid ? "hybrid (v2 beside v1)" : "v2";
  if (missing.empty()) {
    return Ok(subject,
              absl::StrCat(layout, ", controllers ",
                           absl::StrJoin(facts.cgroup_controllers, " ")));
  }
  return Warn(
      subject,
      absl::StrCat(layout,
                   "; not available in v2: ", absl::StrJoin(missing, " ")),
      absl::StrCat("pods run, but limits that need these are refused (or "
                   "ignored with cgroup.missing_controllers = \"ignore\"); ",
                   hybrid ? kSwitchToV2
                          : "enable them in the kernel (cgroup_disable=, "
                            "cgroup_enable= on its command line) or in the "
                            "container this runs in"));
}

// What piniond refuses to start with.
Finding JudgePinning(const Facts& facts) {
  const std::string subject = "CPU pinning";
  const auto& have = facts.cgroup_controllers;
  if (!facts.cpu.missing_is_ignored &&
      (facts.cgroup_layout != CgroupLayout::kUnified ||
       std::find(have.begin(), have.end(), "cpuset") == have.end())) {
    return Fail(subject,
                "cpu.policy = \"static\" needs the cpuset controller in "
                "cgroup v2",
                "see cgroups; or set cpu.policy = \"none\"");
  }
  const auto problem =
      daemon::FindReservedProblem(facts.cpu.reserved, facts.cpu.present);
  if (problem) return Fail(subject, problem->text, problem->remedy);
  return Ok(
      subject,
      absl::StrCat("CPUs ", (facts.cpu.present - facts.cpu.reserved).ToString(),
                   " can be given away, ", facts.cpu.reserved.ToString(),
                   " are reserved"));
}

Finding JudgeSystemd(const Facts& facts) {
  if (!facts.systemd_is_pid1) {
    return Ok("systemd", "not PID 1 here: the cgroupfs driver is used");
  }
  return Ok("systemd", absl::StrCat(facts.systemd_version,
                                    " is PID 1: the systemd driver is used"));
}

Finding JudgeOverlay(const Facts& facts) {
  if (facts.overlay.ok) {
    return Ok("overlay", absl::StrCat("a detached overlay works below ",
                                      facts.root_directory));
  }
  if (!facts.overlay_known) {
    return Fail("overlay", "the kernel has no overlayfs",
                "modprobe overlay, and name it in /etc/modules-load.d");
  }
  return Fail(
      "overlay",
      absl::StrCat("below ", facts.root_directory, ": ", facts.overlay.error),
      "put root (--root, /etc/pinion/pinion.toml) on ext4, xfs or "
      "btrfs; another overlay or a network file system cannot hold "
      "writable layers");
}

Finding JudgeNamespaces(const Facts& facts) {
  std::vector<std::string> good;
  std::vector<std::string> bad;
  bool needed_fails = false;
  for (const NamespaceTrial& item : facts.namespaces) {
    if (item.trial.ok) {
      good.push_back(item.name);
      continue;
    }
    bad.push_back(absl::StrCat(item.name, " (", item.trial.error, ")"));
    // Pods with user namespaces are the only ones that need this one.
    needed_fails = needed_fails || item.name != "user";
  }
  if (bad.empty()) return Ok("namespaces", absl::StrJoin(good, " "));
  const std::string text = absl::StrCat("refused: ", absl::StrJoin(bad, ", "));
  const std::string fix =
      "raise the limits in /proc/sys/user/max_*_namespaces; inside a "
      "container, "
      "give it CAP_SYS_ADMIN";
  return needed_fails ? Fail("namespaces", text, fix)
                      : Warn("namespaces", text, fix);
}

Finding JudgeMacvlan(const Facts& facts) {
  if (facts.macvlan.ok) {
    return Ok("macvlan", "one can be made (tried in a network namespace)");
  }
  return Fail("macvlan", facts.macvlan.error,
              "modprobe macvlan, or set network.mode = \"bridge\" (or "
              "\"cni\", \"none\")");
}

Finding JudgeIpvlan(const Facts& facts) {
  if (facts.ipvlan->ok) {
    return Ok("ipvlan", "one can be made (tried in a network namespace)");
  }
  return Fail("ipvlan", facts.ipvlan->error,
              "modprobe ipvlan, or, where the kernel has none "
              "(CONFIG_IPVLAN), set network.mode = \"macvlan\" or \"bridge\"");
}

Finding JudgeParent(const Facts& facts) {
  if (facts.parent == "auto") {
    return Ok("parent device",
              "auto: pinion makes one of its own; production names the NIC in "
              "network.parent");
  }
  if (!facts.parent_up.has_value()) {
    return Fail("parent device",
                absl::StrCat("there is no device ", facts.parent),
                "name an existing one in network.parent (ip -br link)");
  }
  if (!*facts.parent_up) {
    return Fail("parent device", absl::StrCat(facts.parent, " is down"),
                absl::StrCat("ip link set ", facts.parent,
                             " up, and look for its cable"));
  }
  if (facts.ipvlan.has_value()) {
    return Ok("parent device",
              absl::StrCat(facts.parent,
                           " is up, and pods share its MAC (a public cloud "
                           "must be told their addresses all the same)"));
  }
  return Ok("parent device",
            absl::StrCat(facts.parent,
                         " is up (a virtual machine's needs promiscuous mode "
                         "or MAC learning; public clouds and Wi-Fi drop "
                         "foreign MACs: network.mode = \"ipvlan\" or "
                         "\"bridge\" there)"));
}

// A network that is absent concerns only the pods that ask for it.
Finding JudgeSecondary(const SecondaryFacts& facts) {
  const std::string subject = absl::StrCat("network ", facts.network);
  if (!facts.parent_up.has_value()) {
    return Warn(subject,
                absl::StrCat("its parent ", facts.parent, " does not exist"),
                absl::StrCat("name an existing one in network.secondary.",
                             facts.network, ".parent (ip -br link)"));
  }
  if (!*facts.parent_up) {
    return Warn(subject, absl::StrCat("its parent ", facts.parent, " is down"),
                absl::StrCat("ip link set ", facts.parent,
                             " up, and look for its cable"));
  }
  return Ok(subject, absl::StrCat("its parent ", facts.parent, " is up"));
}

Finding JudgeSeccomp(const Facts& facts) {
  return facts.seccomp
             ? Ok("seccomp", "filters are supported")
             : Fail("seccomp", "the kernel has no seccomp filters",
                    "a kernel with CONFIG_SECCOMP_FILTER; containers that ask "
                    "for RuntimeDefault cannot start without");
}

Finding JudgeBpf(const Facts& facts) {
  return facts.cgroup_bpf.ok
             ? Ok("device filter", "cgroup BPF programs load")
             : Fail("device filter", facts.cgroup_bpf.error,
                    "a kernel with CONFIG_CGROUP_BPF, and CAP_BPF or "
                    "CAP_SYS_ADMIN: without it containers could open every "
                    "device");
}

std::vector<Finding> JudgeLimits(const Facts& facts) {
  std::vector<Finding> findings;
  if (facts.nofile_hard < 65536) {
    findings.push_back(
        Warn("open files", absl::StrCat("at most ", facts.nofile_hard),
             "LimitNOFILE=1048576 in the unit (deploy/piniond.service has it); "
             "a pod costs about three"));
  } else {
    findings.push_back(
        Ok("open files", absl::StrCat("at most ", facts.nofile_hard)));
  }
  if (facts.pid_max < 65536) {
    findings.push_back(Warn("processes",
                            absl::StrCat("kernel.pid_max is ", facts.pid_max),
                            "sysctl -w kernel.pid_max=4194304"));
  } else {
    findings.push_back(
        Ok("processes", absl::StrCat("kernel.pid_max is ", facts.pid_max)));
  }
  const std::string inotify =
      absl::StrCat(facts.inotify_instances, " instances, ",
                   facts.inotify_watches, " watches a user");
  if (facts.inotify_instances < 512) {
    findings.push_back(Warn("inotify", inotify,
                            "programs in many pods share root's: sysctl -w "
                            "fs.inotify.max_user_instances=8192"));
  } else {
    findings.push_back(Ok("inotify", inotify));
  }
  return findings;
}

Finding JudgeOomScore(const Facts& facts) {
  if (facts.cap_sys_resource) {
    return Ok("OOM protection", "CAP_SYS_RESOURCE is there");
  }
  return Warn("OOM protection", "CAP_SYS_RESOURCE is missing, even for root",
              "a lower oom_score_adj is refused with EACCES: the daemon and "
              "guaranteed pods are no safer from the OOM killer than others. "
              "Usual inside a container; elsewhere, look for a bounding set "
              "(capsh --print)");
}

Finding JudgeDisk(const Facts& facts) {
  const std::string text = absl::StrCat(
      FormatBytes(facts.disk_free), " of ", FormatBytes(facts.disk_total),
      " free below ", facts.root_directory, ", ", facts.inodes_free, " inodes");
  const std::string fix =
      "remove images (crictl rmi --prune), or put root on a larger disk";
  if (facts.disk_free < (uint64_t{1} << 30)) return Fail("disk", text, fix);
  if (facts.disk_free < (uint64_t{5} << 30) ||
      (facts.inodes_free != 0 && facts.inodes_free < 100'000)) {
    return Warn("disk", text, fix);
  }
  return Ok("disk", text);
}

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "OK";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      break;
  }
  return "FAIL";
}

Style StyleOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return Style::kGreen;
    case Verdict::kWarn:
      return Style::kYellow;
    case Verdict::kFail:
      break;
  }
  return Style::kRed;
}

}  // namespace

std::vector<Finding> Judge(const Facts& facts) {
  if (!facts.root) {
    return {Fail("user", "not root", "run it as root: piniond has to be")};
  }
  std::vector<Finding> findings = {
      JudgeKernel(facts),  JudgeCgroups(facts),    JudgeSystemd(facts),
      JudgeOverlay(facts), JudgeNamespaces(facts), JudgeMacvlan(facts),
      JudgeParent(facts),  JudgeSeccomp(facts),    JudgeBpf(facts)};
  if (facts.cpu.pinning) findings.push_back(JudgePinning(facts));
  if (facts.ipvlan.has_value()) findings.push_back(JudgeIpvlan(facts));
  for (const SecondaryFacts& network : facts.secondary) {
    findings.push_back(JudgeSecondary(network));
  }
  for (Finding& finding : JudgeLimits(facts)) {
    findings.push_back(std::move(finding));
  }
  findings.push_back(JudgeOomScore(facts));
  findings.push_back(JudgeDisk(facts));
  return findings;
}

std::string RenderFindings(const std::vector<Finding>& findings,
                           const Terminal& terminal) {
  size_t subject_width = 0;
  for (const Finding& finding : findings) {
    subject_width = std::max(subject_width, DisplayWidth(finding.subject));
  }
  const size_t indent = 6 + subject_width + 2;
  std::string result;
  for (const Finding& finding : findings) {
    // The first line's indent holds the verdict and the subject.
    const std::string text = Wrap(finding.text, terminal.width, indent);
    absl::StrAppend(
        &result,
        terminal.Paint(StyleOf(finding.verdict),
                       PadRight(Word(finding.verdict), 6)),
        PadRight(finding.subject, subject_width + 2),
        text.size() > indent ? text.substr(indent) : std::string("\n"));
    if (!finding.fix.empty()) {
      absl::StrAppend(&result, Wrap(absl::StrCat("→ ", finding.fix),
                                    terminal.width, indent));
    }
  }
  const auto count = [&](Verdict verdict) {
    return std::count_if(
        findings.begin(), findings.end(),
        [verdict](const Finding& f) { return f.verdict == verdict; });
  };
  absl::StrAppend(&result, "\n", count(Verdict::kOk), " fine, ",
                  count(Verdict::kWarn), " to know, ", count(Verdict::kFail),
                  " to fix\n");
  return result;
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  nlohmann::json root = nlohmann::json::array();
  for (const Finding& finding : findings) {
    root.push_back({{"verdict", Word(finding.verdict)},
                    {"subject", finding.subject},
                    {"text", finding.text},
                    {"fix", finding.fix}});
  }
  return root.dump(2) + "\n";
}

int DoctorExitCode(const std::vector<Finding>& findings) {
  return std::any_of(
             findings.begin(), findings.end(),
             [](const Finding& f) { return f.verdict == Verdict::kFail; })
             ? 1
             : 0;
}

}  // namespace pinion::tools
