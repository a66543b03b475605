// Imports of archives, good and bad. Needs root.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/integration/image/registry_bed.h"
#include "tests/support/tar_builder.h"

namespace pinion::image {
namespace {

using ::pinion::testing::DigestOf;
using ::pinion::testing::Gzip;
using ::pinion::testing::MakeOciArchive;
using ::pinion::testing::MakeTestImage;
using ::pinion::testing::TarBuilder;
using ::pinion::testing::TestImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override { store_.Open(); }
  void TearDown() override {
    // Scratch files never stay.
    for (const std::string& name : store_.LayerNames()) {
      EXPECT_EQ(name.find("tmp"), std::string::npos);
    }
  }

  absl::StatusOr<ImageService::Imported> Import(
      const std::string& bytes, const std::string& reference = "") {
    const std::string path = scratch_.path() + "/image.tar";
    std::ofstream(path, std::ios::binary) << bytes;
    return store_.service().Import(path, reference);
  }

  const TestImage image_ =
      MakeTestImage({TarBuilder().File("f", "from an archive").Finish()});
  testing::ScratchDir scratch_;
  StoreBed store_;
};

TEST_F(ArchiveTest, AnOciArchiveNamesItsImage) {
  for (const bool packed : {false, true}) {
    const std::string archive = MakeOciArchive(image_, "r.example/app:v1");
    const auto imported = Import(packed ? Gzip(archive) : archive);
    ASSERT_TRUE(imported.ok()) << imported.status();
    EXPECT_EQ(imported->id, image_.config_digest);
    EXPECT_THAT(imported->references, ElementsAre("r.example/app:v1"));
    const ImageInfo info = *store_.service().Find("r.example/app:v1");
    EXPECT_EQ(store_.Read(info, "f"), "from an archive");
    EXPECT_THAT(info.repo_digests,
                ElementsAre("r.example/app@" + image_.manifest_digest));
  }
}

TEST_F(ArchiveTest, AReferenceOverrulesAndIsNeededForATagAlone) {
  const auto nameless = Import(MakeOciArchive(image_, ""));
  EXPECT_TRUE(absl::IsInvalidArgument(nameless.status()));
  EXPECT_FALSE(Import(MakeOciArchive(image_, "v1")).ok());
  const auto named = Import(MakeOciArchive(image_, "v1"), "r.example/mine:2");
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_THAT(named->references, ElementsAre("r.example/mine:2"));
  EXPECT_FALSE(Import(MakeOciArchive(image_, ""), "UPPER").ok());
  EXPECT_TRUE(Import(MakeOciArchive(image_, ""),
                     "r.example/d@" + image_.manifest_digest)
                  .ok());
  EXPECT_FALSE(
      Import(MakeOciArchive(image_, ""), "r.example/d@" + DigestOf("x")).ok());
}

TEST_F(ArchiveTest, ReadsWhatDockerSaves) {
  TarBuilder tar;
  const std::string layer = TarBuilder().File("f", "docker").Finish();
  const TestImage image =
      MakeTestImage({layer, layer}, testing::Packing::kPlain);
  tar.File("aaa/layer.tar", layer).Symlink("bbb/layer.tar", "../aaa/layer.tar");
  tar.File("config.json", image.blobs.at(image.config_digest));
  tar.File("manifest.json",
           R"([{"Config":"config.json","RepoTags":["r.example/d:1"],)"
           R"("Layers":["aaa/layer.tar","bbb/layer.tar"]}])");
  const auto imported = Import(tar.Finish());
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->id, image.config_digest);
  EXPECT_EQ(store_.Read(*store_.service().Find("r.example/d:1"), "f"),
            "docker");
}

TEST_F(ArchiveTest, DamagedAndHostileArchivesLeaveNothing) {
  TestImage wrong = image_;
  wrong.blobs[image_.layer_digests[0]][20] ^= 1;
  TestImage lacking = image_;
  lacking.blobs.erase(image_.layer_digests[0]);
  const std::string good = MakeOciArchive(image_, "r.example/app:v1");
  for (const std::string& bytes :
       {std::string(), std::string("rubbish"), good.substr(0, 700),
        MakeOciArchive(wrong, "r.example/app:v1"),
        MakeOciArchive(lacking, "r.example/app:v1"),
        TarBuilder().File("index.json", "[]").Finish(),
        TarBuilder().File("manifest.json", "[1]").Finish(),
        TarBuilder()
            .File("manifest.json",
                  R"([{"Config":"/etc/passwd","RepoTags":["a/b:c"]}])")
            .Finish(),
        TarBuilder().File("../../evil", "x").Finish(),
        TarBuilder().Symlink("index.json", "/etc/passwd").Finish()}) {
    EXPECT_FALSE(Import(bytes).ok());
    EXPECT_THAT(store_.LayerNames(), IsEmpty());
    EXPECT_THAT(store_.service().List(), IsEmpty());
  }
  EXPECT_TRUE(absl::IsNotFound(
      store_.service().Import(scratch_.path() + "/absent", "").status()));
}

}  // namespace
}  // namespace pinion::image
