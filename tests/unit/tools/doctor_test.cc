#include "tools/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

CpuFacts Pinned(const std::string& reserved) {
  return {.pinning = true,
          .reserved = *CpuSet::Parse(reserved),
          .present = *CpuSet::Parse("0-3")};
}

// A machine on which everything is fine.
Facts Good() {
  Facts facts;
  facts.root = true;
  facts.kernel = "6.1.0-18-amd64";
  facts.kernel_major = 6;
  facts.kernel_minor = 1;
  facts.cgroup_layout = CgroupLayout::kUnified;
  facts.cgroup_controllers = {"cpuset", "cpu", "io", "memory", "pids"};
  facts.systemd_is_pid1 = true;
  facts.systemd_version = "252";
  facts.overlay_known = true;
  facts.root_directory = "/var/lib/pinion";
  facts.overlay.ok = true;
  facts.namespaces = {{"mnt", {true, ""}}, {"user", {true, ""}}};
  facts.macvlan.ok = true;
  facts.seccomp = true;
  facts.cgroup_bpf.ok = true;
  facts.nofile_hard = 1 << 20;
  facts.pid_max = 4194304;
  facts.inotify_instances = 8192;
  facts.inotify_watches = 524288;
  facts.cap_sys_resource = true;
  facts.disk_free = uint64_t{50} << 30;
  facts.disk_total = uint64_t{100} << 30;
  facts.inodes_free = 1'000'000;
  return facts;
}

TEST(DoctorTest, NothingToSayOnAGoodMachine) {
  for (const Finding& finding : Judge(Good())) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.subject;
    EXPECT_EQ(finding.fix, "") << finding.subject;
  }
  EXPECT_EQ(DoctorExitCode(Judge(Good())), 0);
}

// Beside what is said of cgroups in any case.
TEST(DoctorTest, PinningNeedsTheCpusetController) {
  Facts facts = Good();
  facts.cpu = Pinned("0");
  for (const CgroupLayout layout :
       {CgroupLayout::kUnified, CgroupLayout::kHybrid}) {
    facts.cgroup_layout = layout;
    facts.cgroup_controllers = {"cpu", "memory", "pids"};
    if (layout == CgroupLayout::kHybrid) {
      // Listed, but not pinion's to enable.
      facts.cgroup_controllers = {"cpu", "cpuset", "memory", "pids"};
    }
    const std::vector<Finding> findings = Judge(facts);
    const auto found = std::find_if(
        findings.begin(), findings.end(),
        [](const Finding& f) { return f.subject == "CPU pinning"; });
    ASSERT_NE(found, findings.end());
    EXPECT_EQ(found->verdict, Verdict::kFail);
    EXPECT_THAT(found->text, HasSubstr("needs the cpuset controller"));
    EXPECT_THAT(found->fix, HasSubstr("cpu.policy = \"none\""));
    EXPECT_EQ(DoctorExitCode(findings), 1);
  }
  facts.cpu.missing_is_ignored = true;
  EXPECT_EQ(DoctorExitCode(Judge(facts)), 0);
}

struct Sickness {
  const char* subject;
  std::function<void(Facts*)> cause;
  Verdict verdict;
  const char* text;
  const char* fix;
};

class SicknessTest : public testing::TestWithParam<Sickness> {};

TEST_P(SicknessTest, IsFoundAndHasAFix) {
  Facts facts = Good();
  GetParam().cause(&facts);
  int bad = 0;
  for (const Finding& finding : Judge(facts)) {
    if (finding.verdict == Verdict::kOk) continue;
    ++bad;
    EXPECT_EQ(finding.subject, GetParam().subject);
    EXPECT_EQ(finding.verdict, GetParam().verdict);
    EXPECT_THAT(finding.text, HasSubstr(GetParam().text));
    EXPECT_THAT(finding.fix, HasSubstr(GetParam().fix));
  }
  EXPECT_EQ(bad, 1);
  EXPECT_EQ(DoctorExitCode(Judge(facts)),
            GetParam().verdict == Verdict::kFail ? 1 : 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, SicknessTest,
    testing::Values(
        Sickness{"user", [](Facts* f) { f->root = false; }, Verdict::kFail,
                 "not root", "run it as root"},
        Sickness{"kernel",
                 [](Facts* f) {
                   f->kernel = "5.10.0";
                   f->kernel_major = 5;
                   f->kernel_minor = 10;
                 },
                 Verdict::kFail, "5.10.0", "5.15"},
        Sickness{"cgroups",
                 [](Facts* f) { f->cgroup_layout = CgroupLayout::kLegacy; },
                 Verdict::kFail, "version 1 only",
                 "systemd.unified_cgroup_hierarchy=1"},
        Sickness{"cgroups",
                 [](Facts* f) { f->cgroup_layout = CgroupLayout::kNone; },
                 Verdict::kFail, "no cgroup file system", "needs cgroup v2"},
        Sickness{"cgroups",
                 [](Facts* f) {
                   f->cgroup_layout = CgroupLayout::kHybrid;
                   f->cgroup_controllers = {};
                 },
                 Verdict::kWarn,
                 "hybrid (v2 beside v1); not available in v2: cpu cpuset "
                 "memory pids",
                 "systemd.unified_cgroup_hierarchy=1"},
        Sickness{"cgroups",
                 [](Facts* f) {
                   f->cgroup_controllers = {"cpu", "pids"};
                 },
                 Verdict::kWarn, "not available in v2: cpuset memory",
                 "missing_controllers"},
        Sickness{"CPU pinning", [](Facts* f) { f->cpu = Pinned("0,9"); },
                 Verdict::kFail,
                 "names CPUs that this machine does not have: 9",
                 "name some of 0-3"},
        Sickness{"CPU pinning", [](Facts* f) { f->cpu = Pinned("0-3"); },
                 Verdict::kFail, "none is left for containers",
                 "reserve fewer"},
        Sickness{"overlay",
                 [](Facts* f) {
                   f->overlay = {false, "fsopen overlay: ENODEV"};
                   f->overlay_known = false;
                 },
                 Verdict::kFail, "no overlayfs", "modprobe overlay"},
        Sickness{"overlay",
                 [](Facts* f) {
                   f->overlay = {false, "fsconfig create overlay: EINVAL"};
                 },
                 Verdict::kFail, "EINVAL", "ext4"},
        Sickness{"namespaces",
                 [](Facts* f) {
                   f->namespaces[0].trial = {false, "unshare: EPERM"};
                 },
                 Verdict::kFail, "mnt (unshare: EPERM)", "CAP_SYS_ADMIN"},
        Sickness{"namespaces",
                 [](Facts* f) {
                   f->namespaces[1].trial = {false, "unshare: ENOSPC"};
                 },
                 Verdict::kWarn, "user (unshare: ENOSPC)", "max_*_namespaces"},
        Sickness{"macvlan",
                 [](Facts* f) {
                   f->macvlan = {false, "make a macvlan: not supported"};
                 },
                 Verdict::kFail, "not supported", "modprobe macvlan"},
        Sickness{"ipvlan",
                 [](Facts* f) {
                   f->ipvlan = Trial{
                       false, "make a link of kind ipvlan: not supported"};
                 },
                 Verdict::kFail, "not supported", "modprobe ipvlan"},
        Sickness{"parent device", [](Facts* f) { f->parent = "eth7"; },
                 Verdict::kFail, "no device eth7", "network.parent"},
        Sickness{"parent device",
                 [](Facts* f) {
                   f->parent = "eth7";
                   f->parent_up = false;
                 },
                 Verdict::kFail, "eth7 is down", "ip link set eth7 up"},
        Sickness{"network storage",
                 [](Facts* f) {
                   f->secondary = {{"storage", "eth8", std::nullopt}};
                 },
                 Verdict::kWarn, "its parent eth8 does not exist",
                 "network.secondary.storage.parent"},
        Sickness{"network storage",
                 [](Facts* f) {
                   f->secondary = {{"storage", "eth8", false}};
                 },
                 Verdict::kWarn, "eth8 is down", "ip link set eth8 up"},
        Sickness{"seccomp", [](Facts* f) { f->seccomp = false; },
                 Verdict::kFail, "no seccomp", "CONFIG_SECCOMP_FILTER"},
        Sickness{"device filter",
                 [](Facts* f) {
                   f->cgroup_bpf = {false, "bpf load: EPERM"};
                 },
                 Verdict::kFail, "EPERM", "CAP_BPF"},
        Sickness{"open files", [](Facts* f) { f->nofile_hard = 1024; },
                 Verdict::kWarn, "1024", "LimitNOFILE"},
        Sickness{"processes", [](Facts* f) { f->pid_max = 32768; },
                 Verdict::kWarn, "32768", "kernel.pid_max"},
        Sickness{"inotify", [](Facts* f) { f->inotify_instances = 128; },
                 Verdict::kWarn, "128", "max_user_instances"},
        Sickness{"OOM protection",
                 [](Facts* f) { f->cap_sys_resource = false; }, Verdict::kWarn,
                 "CAP_SYS_RESOURCE", "EACCES"},
        Sickness{"disk", [](Facts* f) { f->disk_free = 1 << 20; },
                 Verdict::kFail, "1.0 MiB of 100.0 GiB", "remove images"},
        Sickness{"disk", [](Facts* f) { f->disk_free = uint64_t{2} << 30; },
                 Verdict::kWarn, "2.0 GiB", "remove images"},
        Sickness{"disk", [](Facts* f) { f->inodes_free = 5; }, Verdict::kWarn,
                 "5 inodes", "remove images"}));

TEST(DoctorTest, WithoutSystemdTheOtherDriverIsFine) {
  Facts facts = Good();
  facts.systemd_is_pid1 = false;
  EXPECT_EQ(DoctorExitCode(Judge(facts)), 0);
}

TEST(DoctorTest, RendersVerdictTextAndFix) {
  const std::vector<Finding> findings = {
      {Verdict::kOk, "kernel", "6.1", ""},
      {Verdict::kFail, "overlay", "does not work here", "modprobe overlay"}};
  EXPECT_EQ(RenderFindings(findings, {.color = false, .width = 40}),
            "OK    kernel   6.1\n"
            "FAIL  overlay  does not work here\n"
            "               → modprobe overlay\n"
            "\n"
            "1 fine, 0 to know, 1 to fix\n");
}

TEST(DoctorTest, Json) {
  EXPECT_THAT(FindingsJson({{Verdict::kWarn, "disk", "2 GiB", "a larger one"}}),
              HasSubstr("\"verdict\": \"WARN\""));
}

}  // namespace
}  // namespace pinion::tools
