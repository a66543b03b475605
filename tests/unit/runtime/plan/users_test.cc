#include "runtime/plan/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace pinion::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const AccountFiles& Files() {
  static const AccountFiles files = {
      "root:x:0:0:root:/root:/bin/sh\n"
      "# a comment\n"
      "broken:x:12\n"
      "web:x:33:34:Web:/srv:/bin/false\n"
      "1000:x:77:78:a number as a name:/seven:/bin/sh\n"
      "huge:x:4294967295:1::/:/bin/sh\n",
      "root:x:0:\n"
      "web:x:34:\n"
      "logs:x:40:web,other\n"
      "audio:x:41:other,web\n"
      "42:x:99:\n"
      "wheel:x:10:root\n"};
  return files;
}

UserQuery Image(const std::string& user) {
  UserQuery query;
  query.image_user = user;
  return query;
}

TEST(UsersTest, NothingSaidIsRootWithItsGroups) {
  const ResolvedUser user = ResolveUser(Image(""), Files()).value();
  EXPECT_EQ(user.uid, 0u);
  EXPECT_EQ(user.gid, 0u);
  EXPECT_THAT(user.groups, ElementsAre(0, 10));
  EXPECT_EQ(user.home, "/root");
}

TEST(UsersTest, NameOfTheImageBringsItsGroups) {
  const ResolvedUser user = ResolveUser(Image("web"), Files()).value();
  EXPECT_EQ(user.uid, 33u);
  EXPECT_EQ(user.gid, 34u);
  EXPECT_THAT(user.groups, ElementsAre(34, 40, 41));
  EXPECT_EQ(user.home, "/srv");
}

TEST(UsersTest, GroupOfTheImageReplacesThePrimaryOne) {
  EXPECT_EQ(ResolveUser(Image("web:audio"), Files())->gid, 41u);
  EXPECT_EQ(ResolveUser(Image("web:7"), Files())->gid, 7u);
  EXPECT_EQ(ResolveUser(Image("33:logs"), Files())->gid, 40u);
  EXPECT_EQ(ResolveUser(Image("33:"), Files())->gid, 34u);
}

TEST(UsersTest, NumberIsANumberEvenIfItIsAName) {
  const ResolvedUser user = ResolveUser(Image("1000"), Files()).value();
  EXPECT_EQ(user.uid, 1000u);
  EXPECT_EQ(user.gid, 0u);
  EXPECT_EQ(user.home, "/");
  EXPECT_EQ(ResolveUser(Image("web:42"), Files())->gid, 42u);
}

TEST(UsersTest, RequestWinsOverTheImage) {
  UserQuery query = Image("web:audio");
  query.run_as_user = 1234;
  query.run_as_group = 5;
  ResolvedUser user = ResolveUser(query, Files()).value();
  EXPECT_EQ(user.uid, 1234u);
  EXPECT_EQ(user.gid, 5u);
  EXPECT_THAT(user.groups, ElementsAre(5));
  query = Image("nobody-here");
  query.run_as_username = "web";
  EXPECT_EQ(ResolveUser(query, Files())->uid, 33u);
}

TEST(UsersTest, RunAsGroupAloneIsRefused) {
  UserQuery query = Image("web");
  query.run_as_group = 5;
  EXPECT_TRUE(absl::IsInvalidArgument(ResolveUser(query, Files()).status()));
}

TEST(UsersTest, SupplementalGroupsMergeOrStandAlone) {
  UserQuery query = Image("web");
  query.supplemental_groups = {1000, 40, 1000};
  EXPECT_THAT(ResolveUser(query, Files())->groups,
              ElementsAre(34, 40, 41, 1000));
  query.strict = true;
  EXPECT_THAT(ResolveUser(query, Files())->groups, ElementsAre(34, 1000, 40));
}

TEST(UsersTest, UnknownNamesAreNamed) {
  absl::Status status = ResolveUser(Image("ghost"), Files()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(status.message(), HasSubstr("\"ghost\""));
  status = ResolveUser(Image("web:ghosts"), Files()).status();
  EXPECT_THAT(status.message(), HasSubstr("\"ghosts\""));
  // Malformed lines are no entries.
  EXPECT_FALSE(ResolveUser(Image("broken"), Files()).ok());
  EXPECT_FALSE(ResolveUser(Image("huge"), Files()).ok());
}

TEST(UsersTest, IdsOutsideTheRangeAreRefused) {
  for (const int64_t id : {int64_t{-1}, int64_t{1} << 31, int64_t{1} << 40}) {
    UserQuery query;
    query.run_as_user = id;
    EXPECT_TRUE(absl::IsInvalidArgument(ResolveUser(query, Files()).status()));
    query.run_as_user = 1;
    query.run_as_group = id;
    EXPECT_FALSE(ResolveUser(query, Files()).ok());
    query.run_as_group = 1;
    query.supplemental_groups = {id};
    EXPECT_FALSE(ResolveUser(query, Files()).ok());
  }
  EXPECT_EQ(ResolveUser(Image("2147483647"), Files())->uid, 2147483647u);
  EXPECT_FALSE(ResolveUser(Image("2147483648"), Files()).ok());
  EXPECT_FALSE(ResolveUser(Image("99999999999999999999"), Files()).ok());
  EXPECT_FALSE(ResolveUser(Image("-1"), Files()).ok());
}

TEST(UsersTest, ImageWithoutFilesKnowsNumbersOnly) {
  EXPECT_EQ(ResolveUser(Image("65532:65532"), {})->gid, 65532u);
  EXPECT_FALSE(ResolveUser(Image("nonroot"), {}).ok());
  EXPECT_FALSE(ResolveUser(Image("root"), {}).ok());
}

}  // namespace
}  // namespace pinion::plan
