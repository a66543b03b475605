#include "image/reference.h"

#include <gtest/gtest.h>

namespace pinion::image {
namespace {

const std::string kHex(64, 'a');

std::string Key(const std::string& text) {
  const auto reference = ParseReference(text);
  return reference.ok() ? reference->Key()
                        : std::string(reference.status().message());
}

TEST(ReferenceTest, NormalisesAsDockerDoes) {
  const std::string hub = kDockerDomain;
  EXPECT_EQ(Key("busybox"), hub + "/library/busybox:latest");
  EXPECT_EQ(Key("busybox:1.36"), hub + "/library/busybox:1.36");
  EXPECT_EQ(Key("someone/app"), hub + "/someone/app:latest");
  EXPECT_EQ(Key("index." + hub + "/busybox"), hub + "/library/busybox:latest");
  EXPECT_EQ(Key("localhost/app"), "localhost/app:latest");
  EXPECT_EQ(Key("registry.example/a/b/c:v1"), "registry.example/a/b/c:v1");
  EXPECT_EQ(Key("127.0.0.1:5000/app"), "127.0.0.1:5000/app:latest");
  EXPECT_EQ(Key("[::1]:5000/app:x"), "[::1]:5000/app:x");
}

TEST(ReferenceTest, ADigestOutranksATag) {
  EXPECT_EQ(Key("r.example/app:v1@sha256:" + kHex),
            "r.example/app@sha256:" + kHex);
  EXPECT_EQ(Key("r.example/app@sha256:" + kHex),
            "r.example/app@sha256:" + kHex);
}

TEST(ReferenceTest, TheDefaultRegistryCanBeAnother) {
  const auto reference = ParseReference("busybox", "registry.example:5000");
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->Key(), "registry.example:5000/busybox:latest");
}

TEST(ReferenceTest, RefusesWhatTheGrammarDoesNotAllow) {
  for (const std::string& text :
       {std::string(""),
        std::string("UPPER"),
        std::string("a//b"),
        std::string("/a"),
        std::string("a/"),
        std::string("a:"),
        std::string("a:-tag"),
        std::string("a:" + std::string(129, 't')),
        std::string("../../etc"),
        std::string("a/../b"),
        std::string("a..b"),
        std::string("a/.b"),
        std::string("a___b"),
        std::string("-a"),
        std::string("a b"),
        std::string("a\nb"),
        std::string("a\0b", 3),
        std::string("[..a]:5000/a"),
        std::string("[1:2:3:4:5:6:7:8:9]/a"),
        std::string("[::1\0]/a", 8),
        std::string("r.example:0/a"),
        std::string("r.example:99999/a"),
        std::string("-r.example/a"),
        std::string("user@r.example/a"),
        std::string("a@sha256:abc"),
        std::string("a@sha512:" + kHex + kHex),
        std::string("a@sha256:" + std::string(64, 'A')),
        kHex,
        "r.example/" + std::string(250, 'a'),
        std::string(4096, 'a')}) {
    const auto reference = ParseReference(text);
    EXPECT_FALSE(reference.ok()) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(reference.status()));
    EXPECT_LT(reference.status().message().size(), 400u);
  }
}

TEST(ReferenceTest, AcceptsTheLongestName) {
  const std::string domain = "r.example/";
  EXPECT_TRUE(
      ParseReference(domain + std::string(255 - domain.size(), 'a')).ok());
}

TEST(ReferenceTest, AcceptsEveryJoint) {
  EXPECT_TRUE(ParseReference("x/a.b_c__d-e---f/0").ok());
}

TEST(ReferenceTest, GlobsMatchAcrossSlashes) {
  EXPECT_TRUE(
      MatchesGlob("registry.example/pause:*", "registry.example/pause:3.9"));
  EXPECT_TRUE(MatchesGlob("*/pause:3.?", "a.example/b/pause:3.9"));
  EXPECT_FALSE(MatchesGlob("*/pause", "a.example/pause:3.9"));
}

}  // namespace
}  // namespace pinion::image
