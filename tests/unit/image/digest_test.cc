#include "image/digest.h"

#include <gtest/gtest.h>

namespace pinion::image {
namespace {

TEST(DigestTest, HashesAsFips180Says) {
  EXPECT_EQ(Sha256::Of("abc").text(),
            "sha256:ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad");
  Sha256 hasher;
  hasher.Update("a");
  hasher.Update("");
  hasher.Update("bc");
  EXPECT_EQ(hasher.Finish(), Sha256::Of("abc"));
}

TEST(DigestTest, ParsesItsOwnText) {
  const Digest digest = Sha256::Of("");
  const auto parsed = Digest::Parse(digest.text());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, digest);
  EXPECT_EQ(parsed->hex().size(), 64u);
}

TEST(DigestTest, RefusesWhatCouldBeAPath) {
  for (const std::string& text :
       {std::string(""), std::string("sha256:"), std::string("sha256:../../x"),
        "sha256:" + std::string(63, 'a'), "sha256:" + std::string(65, 'a'),
        "sha256:" + std::string(64, 'A'), "sha256:" + std::string(64, '/'),
        "md5:" + std::string(64, 'a'), std::string(64, 'a'),
        "sha256:" + std::string(62, 'a') + "/.",
        "SHA256:" + std::string(64, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Digest::Parse(text).status())) << text;
  }
}

TEST(DigestTest, AMismatchNamesBoth) {
  const absl::Status status =
      CheckDigest(Sha256::Of("a"), Sha256::Of("b"), "blob");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find(Sha256::Of("a").text()), std::string::npos);
  EXPECT_NE(status.message().find(Sha256::Of("b").text()), std::string::npos);
  EXPECT_TRUE(CheckDigest(Sha256::Of("a"), Sha256::Of("a"), "blob").ok());
}

}  // namespace
}  // namespace pinion::image
