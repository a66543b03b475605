#include "cri/translate_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::cri {
namespace {

TEST(ToReferenceTest, NeedsAnImage) {
  api::ImageSpec spec;
  EXPECT_TRUE(absl::IsInvalidArgument(ToReference(spec).status()));
  spec.set_image("a b\n");
  EXPECT_TRUE(absl::IsInvalidArgument(ToReference(spec).status()));
  spec.set_image("busybox:1");
  EXPECT_EQ(ToReference(spec).value(), "busybox:1");
}

TEST(ToCredentialsTest, CarriesEveryField) {
  api::AuthConfig auth;
  auth.set_username("u");
  auth.set_password("p");
  auth.set_auth("dTpw");
  auth.set_server_address("registry.test");
  auth.set_identity_token("i");
  auth.set_registry_token("r");
  const auto out = ToCredentials(auth);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->username, "u");
  EXPECT_EQ(out->password, "p");
  EXPECT_EQ(out->auth, "dTpw");
  EXPECT_EQ(out->server_address, "registry.test");
  EXPECT_EQ(out->identity_token, "i");
  EXPECT_EQ(out->registry_token, "r");
}

TEST(ToCredentialsTest, ARefusalShowsNoSecret) {
  api::AuthConfig auth;
  auth.set_password("hunter2\r\nX-Evil: 1");
  const absl::Status status = ToCredentials(auth).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  const std::string message(status.message());
  EXPECT_THAT(message, testing::HasSubstr("auth.password"));
  EXPECT_THAT(message, testing::Not(testing::HasSubstr("hunter2")));
}

TEST(ToImageTest, UserIsANumberOrAName) {
  struct Case {
    std::string user;
    bool numeric;
    int64_t uid;
    std::string name;
  };
  for (const Case& c :
       std::vector<Case>{{"", false, 0, ""},
                         {"0", true, 0, ""},
                         {"1002", true, 1002, ""},
                         {"1003:1004", true, 1003, ""},
                         {"www-data", false, 0, "www-data"},
                         {"www-data:1004", false, 0, "www-data"},
                         {"12x", false, 0, "12x"},
                         {"-1", false, 0, "-1"},
                         {"4294967296", false, 0, "4294967296"}}) {
    SCOPED_TRACE(c.user);
    image::ImageInfo info;
    info.config.user = c.user;
    api::Image image;
    ToImage(info, &image);
    EXPECT_EQ(image.has_uid(), c.numeric);
    EXPECT_EQ(image.uid().value(), c.uid);
    EXPECT_EQ(image.username(), c.name);
  }
}

TEST(ToImageTest, CarriesEveryField) {
  image::ImageInfo info;
  info.id = "sha256:1";
  info.repo_tags = {"a:1", "a:2"};
  info.repo_digests = {"a@sha256:3"};
  info.size_bytes = 42;
  info.pinned = true;
  api::Image image;
  ToImage(info, &image);
  EXPECT_EQ(image.id(), "sha256:1");
  EXPECT_EQ(image.repo_tags(1), "a:2");
  EXPECT_EQ(image.repo_digests(0), "a@sha256:3");
  EXPECT_EQ(image.size(), 42u);
  EXPECT_TRUE(image.pinned());
}

TEST(ToFilesystemUsageTest, CarriesEveryField) {
  api::FilesystemUsage out;
  ToFilesystemUsage({"/var/lib/pinion", 10, 20}, 30, &out);
  EXPECT_EQ(out.fs_id().mountpoint(), "/var/lib/pinion");
  EXPECT_EQ(out.used_bytes().value(), 10u);
  EXPECT_EQ(out.inodes_used().value(), 20u);
  EXPECT_EQ(out.timestamp(), 30);
}

}  // namespace
}  // namespace pinion::cri
