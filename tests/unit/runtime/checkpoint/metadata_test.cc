#include "runtime/checkpoint/metadata.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pinion::checkpoint {
namespace {

Metadata Sample() {
  Metadata metadata;
  metadata.id = "0123";
  metadata.name = "web";
  metadata.image_id = "sha256:aa";
  metadata.image_ref = "r/web@sha256:bb";
  metadata.image_name = "r/web:1";
  metadata.created_at_ns = 1'000'000'000;
  metadata.checkpointed_at_ns = 2'500'000'000;
  metadata.argv = {"sh", "-c", "\xff"};  // no UTF-8
  metadata.working_dir = "/srv";
  metadata.mounts = {{"/data", true}, {"/etc/hosts", false}};
  metadata.security = "run_as_user: 7";
  metadata.stdio = {"/dev/null", "pipe:[12]", "pipe:[13]"};
  return metadata;
}

TEST(MetadataTest, WhatIsWrittenIsRead) {
  const auto read = ParseDocuments(ToDocuments(Sample()));
  ASSERT_TRUE(read.ok()) << read.status();
  const Metadata want = Sample();
  EXPECT_EQ(read->id, want.id);
  EXPECT_EQ(read->name, want.name);
  EXPECT_EQ(read->image_id, want.image_id);
  EXPECT_EQ(read->image_ref, want.image_ref);
  EXPECT_EQ(read->image_name, want.image_name);
  EXPECT_EQ(read->mounts, want.mounts);
  EXPECT_EQ(read->security, want.security);
  EXPECT_EQ(read->stdio, want.stdio);
}

TEST(MetadataTest, TheDocumentsHaveTheKubeletsKeys) {
  const Documents documents = ToDocuments(Sample());
  const auto config = nlohmann::json::parse(documents.config);
  EXPECT_EQ(config["rootfsImageName"], "r/web:1");
  EXPECT_EQ(config["createdTime"], "1970-01-01T00:00:01+00:00");
  EXPECT_EQ(config["checkpointedTime"], "1970-01-01T00:00:02.5+00:00");
  const auto spec = nlohmann::json::parse(documents.spec);
  EXPECT_EQ(spec["process"]["cwd"], "/srv");
  EXPECT_EQ(spec["process"]["args"][1], "-c");
  EXPECT_EQ(spec["mounts"][0]["destination"], "/data");
  EXPECT_EQ(spec["mounts"][0]["options"],
            nlohmann::json::array({"bind", "ro"}));
}

// Each change of one document makes the whole unacceptable.
TEST(MetadataTest, WhatPinionDoesNotWriteIsRefused) {
  const Documents good = ToDocuments(Sample());
  const auto refused = [](const Documents& documents) {
    return ParseDocuments(documents).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  for (const char* text :
       {"", "{", "[]", "{}", R"({"rootfsImage":7})", R"({"rootfsImage":""})"}) {
    Documents bad = good;
    bad.config = text;
    EXPECT_TRUE(refused(bad)) << text;
  }
  for (const char* text :
       {"", "null", "{}", R"({"annotations":{"io.container.manager":"libpod",
        "dev.pinion.security-context":""}})",
        R"({"annotations":{"io.container.manager":"pinion"}})"}) {
    Documents bad = good;
    bad.spec = text;
    EXPECT_TRUE(refused(bad)) << text;
  }
  for (const char* mounts :
       {"7", "[7]", R"([{"type":"bind"}])",
        R"([{"type":"bind","destination":"data"}])",
        R"([{"type":"bind","destination":"/d","options":7}])"}) {
    auto spec = nlohmann::json::parse(good.spec);
    spec["mounts"] = nlohmann::json::parse(mounts);
    Documents bad = good;
    bad.spec = spec.dump();
    EXPECT_TRUE(refused(bad)) << mounts;
  }
  for (const char* text :
       {"{}", "[]", R"(["/dev/null","pipe:[1]"])", R"([1,2,3])",
        R"(["/dev/null","/dev/null","pipe:[1]"])",
        R"(["/dev/null","pipe:[1] --x","pipe:[1]"])",
        R"(["/dev/null","pipe:[]","pipe:[1]"])",
        R"(["/etc/passwd","pipe:[1]","pipe:[1]"])"}) {
    Documents bad = good;
    bad.descriptors = text;
    EXPECT_TRUE(refused(bad)) << text;
  }
}

}  // namespace
}  // namespace pinion::checkpoint
