// AppArmor profiles, where the kernel has it: needs root and apparmor_parser.

#include <gmock/gmock.h>

#include <cerrno>
#include <cstdlib>

#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;

using AppArmorTest = LaunchTest;

TEST_F(AppArmorTest, ProfileIsInForceFromTheFirstInstruction) {
  WriteFile(dir() + "/profile",
            "profile pn-launch-test flags=(attach_disconnected,mediate_deleted)"
            " {\n  file,\n  deny /etc/secret r,\n}\n");
  ASSERT_EQ(system(("apparmor_parser -Kr " + dir() + "/profile").c_str()), 0);
  WriteFile(layer() + "/etc/secret", "secret\n");
  for (const bool no_new_privs : {false, true}) {
    LaunchSpec spec = Shell("cat /proc/self/attr/current; cat /etc/secret");
    spec.apparmor_profile = "pn-launch-test";
    spec.no_new_privs = no_new_privs;
    const Outcome o = Run(spec);
    EXPECT_EQ(o.out, "pn-launch-test (enforce)\n");
    EXPECT_THAT(o.err, HasSubstr("Permission denied"));
  }
  EXPECT_EQ(system(("apparmor_parser -KR " + dir() + "/profile").c_str()), 0);
}

TEST_F(AppArmorTest, ProfileThatIsNotLoadedIsAnError) {
  LaunchSpec spec = Container({"true"});
  spec.apparmor_profile = "pn-no-such-profile";
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "set AppArmor profile");
  EXPECT_EQ(o.failure.error, ENOENT);
}

}  // namespace
}  // namespace pinion::launch
