#include "cri/translate_security.h"

#include "cri/translate_namespaces.h"
#include "tests/unit/cri/requests.h"
#include "tests/unit/cri/translate_cases.h"

// The deprecated fields are part of what is tested.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace pinion::cri {
namespace {

using Security = api::LinuxContainerSecurityContext;

absl::StatusOr<state::ContainerSecurity> Translate(const Security& in) {
  return ToContainerSecurity(Field("security"), in);
}

Security Valid() {
  return ContainerRequest().config().linux().security_context();
}

TEST(TranslateSecurityTest, CarriesEveryField) {
  Security in = Valid();
  in.set_privileged(true);
  in.set_readonly_rootfs(true);
  in.mutable_capabilities()->add_add_ambient_capabilities("CAP_CHOWN");
  in.set_supplemental_groups_policy(api::Strict);
  const auto out = Translate(in);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_TRUE(out->privileged());
  EXPECT_TRUE(out->readonly_rootfs());
  EXPECT_TRUE(out->no_new_privs());
  EXPECT_TRUE(out->strict_supplemental_groups());
  EXPECT_EQ(out->add_capabilities(0), "NET_BIND_SERVICE");
  EXPECT_EQ(out->drop_capabilities(0), "ALL");
  EXPECT_EQ(out->add_ambient_capabilities(0), "CAP_CHOWN");
  EXPECT_EQ(out->namespaces().pid(), state::NAMESPACE_CONTAINER);
  EXPECT_EQ(out->run_as_user(), 1000);
  EXPECT_EQ(out->run_as_group(), 1001);
  EXPECT_EQ(out->supplemental_groups(0), 2000);
  EXPECT_EQ(out->masked_paths(0), "/proc/kcore");
  EXPECT_EQ(out->readonly_paths(0), "/proc/sys");
  EXPECT_EQ(out->seccomp().kind(), state::SeccompProfile::RUNTIME_DEFAULT);
  EXPECT_FALSE(out->has_apparmor());
}

TEST(TranslateSecurityTest, WithoutAUserTheImageDecides) {
  Security in = Valid();
  in.clear_run_as_user();
  in.clear_run_as_group();
  const auto out = Translate(in);
  ASSERT_TRUE(out.ok());
  EXPECT_FALSE(out->has_run_as_user());
  EXPECT_FALSE(out->has_run_as_group());
}

TEST(TranslateSecurityTest, UserZeroIsSet) {
  Security in = Valid();
  in.mutable_run_as_user()->set_value(0);
  EXPECT_TRUE(Translate(in)->has_run_as_user());
}

TEST(TranslateSecurityTest, RefusesIllegalUsersAndGroups) {
  ExpectRefused<Security>(
      Valid(), Translate,
      {
          {"security.run_as_user -1",
           [](auto& s) { s.mutable_run_as_user()->set_value(-1); }},
          {"security.run_as_user 2147483648",
           [](auto& s) { s.mutable_run_as_user()->set_value(1LL << 31); }},
          {"security.run_as_group 1001: needs run_as_user",
           [](auto& s) { s.clear_run_as_user(); }},
          {"security.run_as_group -5",
           [](auto& s) { s.mutable_run_as_group()->set_value(-5); }},
          {"security.run_as_username \"www\": excludes",
           [](auto& s) { s.set_run_as_username("www"); }},
          {"security.run_as_username",
           [](auto& s) {
             s.clear_run_as_user();
             s.set_run_as_username("a:0");
           }},
          {"security.run_as_username",
           [](auto& s) {
             s.clear_run_as_user();
             s.set_run_as_username("a\nroot::0:0:::");
           }},
          {"security.supplemental_groups[1] -1",
           [](auto& s) { s.add_supplemental_groups(-1); }},
          {"security.supplemental_groups 65537",
           [](auto& s) {
             for (int i = 0; i < 65536; ++i) s.add_supplemental_groups(1);
           }},
          {"security.supplemental_groups_policy 4",
           [](auto& s) {
             s.set_supplemental_groups_policy(
                 static_cast<api::SupplementalGroupsPolicy>(4));
           }},
      });
}

TEST(TranslateSecurityTest, RefusesIllegalCapabilitiesAndPaths) {
  ExpectRefused<Security>(
      Valid(), Translate,
      {
          {"capabilities.add_capabilities[1] \"\"",
           [](auto& s) { s.mutable_capabilities()->add_add_capabilities(""); }},
          {"capabilities.drop_capabilities[1]",
           [](auto& s) {
             s.mutable_capabilities()->add_drop_capabilities("NET ADMIN");
           }},
          {"capabilities.add_ambient_capabilities[0]",
           [](auto& s) {
             s.mutable_capabilities()->add_add_ambient_capabilities(
                 std::string(65, 'A'));
           }},
          {"capabilities.drop_capabilities 257",
           [](auto& s) {
             for (int i = 0; i < 256; ++i) {
               s.mutable_capabilities()->add_drop_capabilities("ALL");
             }
           }},
          {"security.masked_paths[1] \"proc\"",
           [](auto& s) { s.add_masked_paths("proc"); }},
          {"security.readonly_paths[1] \"\"",
           [](auto& s) { s.add_readonly_paths(""); }},
      });
}

struct ProfileCase {
  std::string old;
  state::SeccompProfile::Kind seccomp;
  state::AppArmorProfile::Kind apparmor;
  std::string value;
};

TEST(TranslateProfilesTest, DeprecatedFieldsCountWhereTheNewAreAbsent) {
  for (const ProfileCase& c : std::vector<ProfileCase>{
           {"runtime/default", state::SeccompProfile::RUNTIME_DEFAULT,
            state::AppArmorProfile::RUNTIME_DEFAULT, ""},
           {"unconfined", state::SeccompProfile::UNCONFINED,
            state::AppArmorProfile::UNCONFINED, ""},
           {"localhost//p.json", state::SeccompProfile::LOCALHOST,
            state::AppArmorProfile::LOCALHOST, "/p.json"}}) {
    SCOPED_TRACE(c.old);
    Security in = Valid();
    in.clear_seccomp();
    in.set_seccomp_profile_path(c.old);
    in.set_apparmor_profile(c.old);
    const auto out = Translate(in);
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(out->seccomp().kind(), c.seccomp);
    EXPECT_EQ(out->seccomp().path(), c.value);
    EXPECT_EQ(out->apparmor().kind(), c.apparmor);
    EXPECT_EQ(out->apparmor().name(), c.value);
  }
}

TEST(TranslateProfilesTest, TheNewFieldsWin) {
  Security in = Valid();
  in.set_seccomp_profile_path("unconfined");
  in.mutable_apparmor()->set_profile_type(api::SecurityProfile::Localhost);
  in.mutable_apparmor()->set_localhost_ref("localhost/mine");
  in.set_apparmor_profile("unconfined");
  const auto out = Translate(in);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->seccomp().kind(), state::SeccompProfile::RUNTIME_DEFAULT);
  EXPECT_EQ(out->apparmor().kind(), state::AppArmorProfile::LOCALHOST);
  EXPECT_EQ(out->apparmor().name(), "mine");
}

TEST(TranslateProfilesTest, NothingAskedStaysAbsent) {
  Security in = Valid();
  in.clear_seccomp();
  const auto out = Translate(in);
  EXPECT_FALSE(out->has_seccomp());
  EXPECT_FALSE(out->has_apparmor());
}

TEST(TranslateProfilesTest, RefusesWhatNamesNoProfile) {
  ExpectRefused<Security>(
      Valid(), Translate,
      {
          {"security.seccomp.localhost_ref \"p.json\"",
           [](auto& s) {
             s.mutable_seccomp()->set_profile_type(
                 api::SecurityProfile::Localhost);
             s.mutable_seccomp()->set_localhost_ref("p.json");
           }},
          {"security.seccomp.localhost_ref",
           [](auto& s) {
             s.mutable_seccomp()->set_profile_type(
                 api::SecurityProfile::Localhost);
           }},
          {"security.seccomp.localhost_ref \"/p\": is only for",
           [](auto& s) { s.mutable_seccomp()->set_localhost_ref("/p"); }},
          {"security.seccomp.profile_type 8",
           [](auto& s) {
             s.mutable_seccomp()->set_profile_type(
                 static_cast<api::SecurityProfile::ProfileType>(8));
           }},
          {"security.apparmor.localhost_ref: must not be empty",
           [](auto& s) {
             s.mutable_apparmor()->set_profile_type(
                 api::SecurityProfile::Localhost);
           }},
          {"security.seccomp_profile_path \"whatever\"",
           [](auto& s) {
             s.clear_seccomp();
             s.set_seccomp_profile_path("whatever");
           }},
          {"security.apparmor_profile \"localhost\"",
           [](auto& s) { s.set_apparmor_profile("localhost"); }},
      });
}

TEST(TranslateNamespacesTest, TargetNamesAContainer) {
  api::NamespaceOption in;
  in.set_pid(api::TARGET);
  in.set_target_id(std::string(64, 'b'));
  const auto out = ToContainerNamespaces(Field("n"), in);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pid(), state::NAMESPACE_TARGET);
  EXPECT_EQ(out->target_id(), in.target_id());
  in.clear_target_id();
  EXPECT_FALSE(ToContainerNamespaces(Field("n"), in).ok());
  in.set_target_id("../x");
  EXPECT_FALSE(ToContainerNamespaces(Field("n"), in).ok());
}

TEST(TranslateNamespacesTest, RoundTripKeepsEveryMode) {
  for (const auto pid : {api::POD, api::CONTAINER, api::NODE}) {
    for (const auto other : {api::POD, api::NODE}) {
      api::NamespaceOption in;
      in.set_pid(pid);
      in.set_network(other);
      in.set_ipc(other);
      const auto out = ToSandboxNamespaces(Field("n"), in);
      ASSERT_TRUE(out.ok()) << out.status();
      api::NamespaceOption back;
      FromNamespaces(*out, &back);
      EXPECT_EQ(back.SerializeAsString(), in.SerializeAsString());
    }
  }
}

}  // namespace
}  // namespace pinion::cri
