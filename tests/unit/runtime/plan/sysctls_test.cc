#include "runtime/plan/sysctls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using testing::HasSubstr;

absl::Status Check(const std::string& name, const SysctlPolicy& policy = {},
                   const std::string& value = "1") {
  return CheckSysctls({{name, value}}, policy);
}

TEST(SysctlsTest, SafeOnesAreAlwaysAllowed) {
  EXPECT_TRUE(Check("net.ipv4.ip_unprivileged_port_start").ok());
  EXPECT_TRUE(Check("kernel.shm_rmid_forced").ok());
  EXPECT_TRUE(Check("net.ipv4.ip_local_port_range", {}, "1024\t65535").ok());
}

TEST(SysctlsTest, UnsafeNamespacedOnesNeedToBeAllowed) {
  EXPECT_THAT(Check("net.core.somaxconn").message(), HasSubstr("allowed"));
  SysctlPolicy policy;
  policy.allowed_unsafe = {"net.core.*", "kernel.sem"};
  EXPECT_TRUE(Check("net.core.somaxconn", policy).ok());
  EXPECT_TRUE(Check("kernel.sem", policy).ok());
  EXPECT_FALSE(Check("net.ipv4.ip_forward", policy).ok());
  policy.allowed_unsafe = AllNamespacedSysctls();
  EXPECT_TRUE(Check("net.ipv4.ip_forward", policy).ok());
  EXPECT_TRUE(Check("fs.mqueue.msg_max", policy).ok());
}

TEST(SysctlsTest, NodesOwnAreRefusedWhateverIsAllowed) {
  SysctlPolicy policy;
  policy.allowed_unsafe = {"kernel.*", "vm.*", "*"};
  for (const char* name : {"kernel.panic", "vm.swappiness", "kernel.hostname",
                           "fs.file-max", "kernel.core_pattern"}) {
    const absl::Status status = Check(name, policy);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_THAT(status.message(), HasSubstr(name));
  }
}

TEST(SysctlsTest, SmuggledNamesAreRefused) {
  SysctlPolicy policy;
  policy.allowed_unsafe = AllNamespacedSysctls();
  for (const char* name :
       {"net/ipv4/ip_forward", "net.ipv4/../../kernel/panic",
        "net..ipv4.ip_forward", ".net.ipv4.ip_forward", "net.", "net",
        "net.ipv4.ip_forward+", "+net.ipv4.ip_forward", "net.ipv4.a b", "",
        "net.ipv4.x=1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Check(name, policy))) << name;
  }
  EXPECT_FALSE(Check("net.ipv4.tcp_rmem", {}, "1\n2").ok());
  EXPECT_FALSE(Check("net.ipv4.tcp_rmem", {}, std::string(5000, '1')).ok());
}

TEST(SysctlsTest, HostNamespacesRefuseTheirOwn) {
  SysctlPolicy policy;
  policy.host_network = true;
  EXPECT_THAT(Check("net.ipv4.tcp_syncookies", policy).message(),
              HasSubstr("network"));
  EXPECT_TRUE(Check("kernel.shm_rmid_forced", policy).ok());
  policy = {};
  policy.host_ipc = true;
  EXPECT_THAT(Check("kernel.shm_rmid_forced", policy).message(),
              HasSubstr("IPC"));
}

// They have to fit into one message to the monitor.
TEST(SysctlsTest, AllTogetherAreBounded) {
  SysctlPolicy policy;
  policy.allowed_unsafe = {"net.*"};
  std::map<std::string, std::string> sysctls;
  for (int i = 0; i < 7; ++i) {
    sysctls["net.ipv4.x" + std::to_string(i)] = std::string(2048, '1');
  }
  EXPECT_TRUE(CheckSysctls(sysctls, policy).ok());
  sysctls["net.ipv4.y"] = std::string(2048, '1');
  EXPECT_TRUE(absl::IsInvalidArgument(CheckSysctls(sysctls, policy)));
}

}  // namespace
}  // namespace pinion::plan
