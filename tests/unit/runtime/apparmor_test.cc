#include "runtime/apparmor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "os/file.h"
#include "tests/support/scratch_dir.h"

namespace pinion::runtime {
namespace {

using Profile = state::AppArmorProfile;
using ::testing::HasSubstr;

// The kernel's files are ours here; apparmor_parser is a script that keeps
// what it is given and lists the profile, as the kernel would.
class AppArmorTest : public ::testing::Test {
 protected:
  AppArmorTest() {
    paths_.enabled = dir_.path() + "/enabled";
    paths_.profiles = dir_.path() + "/profiles";
    paths_.parser = dir_.path() + "/parser";
    Write("enabled", "Y\n");
    Write("profiles", "/usr/bin/man (enforce)\nmine (complain)\n");
    Parser("cat > " + dir_.path() + "/loaded\n" + "echo run >> " + dir_.path() +
           "/runs\n" + "echo 'pinion-default (enforce)' >> " + paths_.profiles +
           "\n");
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(
        os::ReplaceFileAt(AT_FDCWD, dir_.path() + "/" + name, text, 0644).ok());
  }
  void Parser(const std::string& script) {
    Write("parser", "#!/bin/sh\n" + script);
    ASSERT_EQ(chmod(paths_.parser.c_str(), 0755), 0);
  }
  std::string Read(const std::string& name) {
    return os::ReadFileAt(AT_FDCWD, dir_.path() + "/" + name).value_or("");
  }

  // As a word: the profile, "none", or the error.
  std::string Resolve(Profile::Kind kind, const std::string& name = "",
                      bool privileged = false) {
    state::ContainerSecurity security;
    security.set_privileged(privileged);
    if (kind != Profile::UNSPECIFIED) {
      security.mutable_apparmor()->set_kind(kind);
      security.mutable_apparmor()->set_name(name);
    }
    const auto profile = apparmor().Resolve(security);
    if (!profile.ok()) {
      EXPECT_TRUE(absl::IsFailedPrecondition(profile.status()));
      return std::string(profile.status().message());
    }
    return profile->empty() ? "none" : *profile;
  }

  AppArmor& apparmor() {
    if (!apparmor_) apparmor_ = std::make_unique<AppArmor>(paths_);
    return *apparmor_;
  }

  testing::ScratchDir dir_;
  AppArmor::Paths paths_;
  std::unique_ptr<AppArmor> apparmor_;
};

TEST_F(AppArmorTest, WhatIsAskedIsWhatApplies) {
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "pinion-default");
  EXPECT_EQ(Resolve(Profile::RUNTIME_DEFAULT), "pinion-default");
  EXPECT_EQ(Resolve(Profile::UNCONFINED), "none");
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "mine"), "mine");
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "/usr/bin/man"), "/usr/bin/man");
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "min"),
            "AppArmor profile min: not loaded on this node (apparmor_parser "
            "loads profiles)");
}

TEST_F(AppArmorTest, PrivilegedIsUnconfinedUnlessAProfileOfTheNodeIsNamed) {
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED, "", true), "none");
  EXPECT_EQ(Resolve(Profile::RUNTIME_DEFAULT, "", true), "none");
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "mine", true), "mine");
  EXPECT_EQ(Read("runs"), "");
}

TEST_F(AppArmorTest, AKernelWithoutItRefusesWhatWasAsked) {
  Write("enabled", "N\n");
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "none");
  EXPECT_EQ(Resolve(Profile::UNCONFINED), "none");
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "mine"),
            "AppArmor profile mine: this node's kernel has no AppArmor");
  EXPECT_EQ(
      Resolve(Profile::RUNTIME_DEFAULT),
      "AppArmor profile pinion-default: this node's kernel has no AppArmor");
  EXPECT_FALSE(apparmor().enabled());
  EXPECT_EQ(Read("runs"), "");
}

TEST_F(AppArmorTest, TheDefaultProfileIsLoadedOnceAndAgainIfItIsGone) {
  // An older pinion's.
  Write("profiles", "pinion-default (enforce)\n");
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "pinion-default");
  EXPECT_THAT(Read("loaded"), HasSubstr("profile pinion-default flags="));
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "pinion-default");
  EXPECT_EQ(Read("runs"), "run\n");
  Write("profiles", "");
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "pinion-default");
  EXPECT_EQ(Read("runs"), "run\nrun\n");
}

TEST_F(AppArmorTest, AParserThatFailsIsToldToWhoAskedOnly) {
  Parser("cat >/dev/null; echo 'syntax error'; exit 3\n");
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "none");
  EXPECT_THAT(Resolve(Profile::RUNTIME_DEFAULT),
              HasSubstr("exit code 3: syntax error"));
  EXPECT_THAT(apparmor().error(), HasSubstr("syntax error"));
  Parser("cat >/dev/null\n");
  EXPECT_EQ(Resolve(Profile::RUNTIME_DEFAULT), "pinion-default");
  EXPECT_EQ(apparmor().error(), "");
}

TEST_F(AppArmorTest, WithoutAParserThereIsNoDefaultProfile) {
  paths_.parser = dir_.path() + "/absent";
  EXPECT_EQ(Resolve(Profile::UNSPECIFIED), "none");
  EXPECT_THAT(Resolve(Profile::RUNTIME_DEFAULT), HasSubstr("ENOENT"));
}

TEST_F(AppArmorTest, WithoutTheListTheKernelWillJudge) {
  paths_.profiles = dir_.path() + "/absent";
  EXPECT_EQ(Resolve(Profile::LOCALHOST, "mine"), "mine");
}

TEST(ListsProfileTest, TakesWholeNamesOnly) {
  const char list[] =
      "a b (c) (enforce)\n/usr/sbin/x//null-y (complain)\nlast (kill)";
  EXPECT_TRUE(ListsProfile(list, "a b (c)"));
  EXPECT_TRUE(ListsProfile(list, "/usr/sbin/x//null-y"));
  EXPECT_TRUE(ListsProfile(list, "last"));
  EXPECT_FALSE(ListsProfile(list, "a b"));
  EXPECT_FALSE(ListsProfile(list, "/usr/sbin/x"));
  EXPECT_FALSE(ListsProfile(list, ""));
  EXPECT_FALSE(ListsProfile("", "last"));
}

}  // namespace
}  // namespace pinion::runtime
