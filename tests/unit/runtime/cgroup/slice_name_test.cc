#include "runtime/cgroup/slice_name.h"

#include <gtest/gtest.h>

namespace pinion::cgroup {
namespace {

TEST(SliceNameTest, TakesNamesAndPathsOfSlices) {
  const char* name = "kubepods-burstable-pod1a2b_3c.slice";
  EXPECT_EQ(*SliceOf(name), name);
  EXPECT_EQ(*SliceOf("/kubepods.slice/kubepods-burstable.slice/"
                     "kubepods-burstable-pod1a2b_3c.slice"),
            name);
  EXPECT_EQ(*SliceOf("/pinion.slice"), "pinion.slice");
  EXPECT_EQ(*SliceOf("-.slice"), "-.slice");
  EXPECT_EQ(*SliceOf("a\\x2db.slice"), "a\\x2db.slice");
}

TEST(SliceNameTest, RefusesWhatIsNoSlice) {
  for (const char* parent : {"",
                             "/",
                             ".slice",
                             "kubepods",
                             "/kubepods/burstable/pod1",
                             "a.scope",
                             "a.slice/",
                             "/a.slice/../b.slice",
                             "//b.slice",
                             "/a/./b.slice",
                             "a.slice/b.slice",
                             "-a.slice",
                             "a-.slice",
                             "a--b.slice",
                             "a b.slice",
                             "a\n.slice",
                             "a$.slice",
                             "../a.slice",
                             "a.slice\n",
                             "é.slice"}) {
    EXPECT_EQ(SliceOf(parent).status().code(),
              absl::StatusCode::kInvalidArgument)
        << parent;
  }
  EXPECT_TRUE(SliceOf(std::string(249, 'a') + ".slice").ok());
  EXPECT_FALSE(SliceOf(std::string(250, 'a') + ".slice").ok());
}

TEST(SliceNameTest, PathsNestAtEveryDash) {
  EXPECT_EQ(SlicePath("-.slice"), "");
  EXPECT_EQ(SlicePath("a.slice"), "/a.slice");
  EXPECT_EQ(SlicePath("a-b.slice"), "/a.slice/a-b.slice");
  EXPECT_EQ(SlicePath("kubepods-burstable-pod1.slice"),
            "/kubepods.slice/kubepods-burstable.slice/"
            "kubepods-burstable-pod1.slice");
  EXPECT_EQ(SlicePath("a\\x2db.slice"), "/a\\x2db.slice");
}

TEST(SliceNameTest, NamesLikeInterfaceFilesAreEscaped) {
  EXPECT_EQ(SlicePath("memory.slice"), "/_memory.slice");
  EXPECT_EQ(SlicePath("cpu-a.slice"), "/_cpu.slice/cpu-a.slice");
  EXPECT_EQ(SlicePath("_a.slice"), "/__a.slice");
  EXPECT_EQ(SlicePath("memoryx.slice"), "/memoryx.slice");
}

TEST(DescriptionTest, StaysOnOneLineOfPlainText) {
  EXPECT_EQ(SanitizeDescription("pod kube-system/dns"), "pod kube-system/dns");
  EXPECT_EQ(SanitizeDescription("a\nExecStart=/bin/sh\x01\x7f"),
            "a ExecStart=/bin/sh");
  EXPECT_EQ(SanitizeDescription("\xc3\xa9"), "??");
  EXPECT_EQ(SanitizeDescription("%H and on\\"), "?H and on?");
  EXPECT_EQ(SanitizeDescription(std::string(500, 'x')).size(), 200U);
  EXPECT_EQ(SanitizeDescription(""), "pinion pod");
  EXPECT_EQ(SanitizeDescription(" \n"), "pinion pod");
}

}  // namespace
}  // namespace pinion::cgroup
