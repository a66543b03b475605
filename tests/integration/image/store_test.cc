// The store across holders, removals and restarts. Needs root.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "os/sqlite.h"
#include "tests/integration/image/registry_bed.h"
#include "tests/support/tar_builder.h"

namespace pinion::image {
namespace {

using ::pinion::testing::MakeOciArchive;
using ::pinion::testing::MakeTestImage;
using ::pinion::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Images come from archives here: no network.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { store_.Open(); }

  std::string Import(const std::string& name,
                     const std::vector<std::string>& contents) {
    std::vector<std::string> tars;
    for (const std::string& content : contents) {
      tars.push_back(TarBuilder().Dir("d").File("d/f", content).Finish());
    }
    const std::string path = scratch_.path() + "/image.tar";
    std::ofstream(path, std::ios::binary)
        << MakeOciArchive(MakeTestImage(tars), name);
    const auto imported = store_.service().Import(path, "");
    EXPECT_TRUE(imported.ok()) << imported.status();
    return imported.ok() ? imported->id : "";
  }

  testing::ScratchDir scratch_;
  StoreBed store_;
};

TEST_F(StoreTest, HeldLayersOutliveTheirImage) {
  const std::string id = Import("r.example/a:1", {"base", "top"});
  const auto held = store_.service().Hold("r.example/a:1", "container");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(store_.service().Hold(id, "other").ok());
  ASSERT_TRUE(store_.service().Remove(id).ok());
  EXPECT_FALSE(store_.service().Find(id).has_value());
  EXPECT_EQ(store_.LayerNames().size(), 2u);
  store_.service().Release("container");
  EXPECT_EQ(store_.LayerNames().size(), 2u);
  store_.service().Release("nobody");
  store_.service().Release("other");
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
  EXPECT_TRUE(
      absl::IsNotFound(store_.service().Hold(id, "container").status()));
}

TEST_F(StoreTest, ARestartFindsEverythingAgain) {
  const std::string id = Import("r.example/a:1", {"base", "top"});
  const ImageInfo before = *store_.service().Find(id);
  const auto usage = store_.service().Usage();
  store_.Open();
  const ImageInfo after = *store_.service().Find("r.example/a:1");
  EXPECT_EQ(after.id, id);
  EXPECT_EQ(after.layer_dirs, before.layer_dirs);
  EXPECT_EQ(after.repo_tags, before.repo_tags);
  EXPECT_EQ(after.repo_digests, before.repo_digests);
  EXPECT_EQ(after.size_bytes, before.size_bytes);
  EXPECT_EQ(store_.service().Usage()->used_bytes, usage->used_bytes);
  EXPECT_EQ(store_.service().Usage()->inodes_used, usage->inodes_used);
}

TEST_F(StoreTest, LayersAreKeptAtStartUntilGarbageIsCollected) {
  const std::string id = Import("r.example/a:1", {"base", "top"});
  const std::vector<std::string> dirs =
      store_.service().Hold(id, "container")->layer_dirs;
  ASSERT_TRUE(store_.service().Remove(id).ok());
  ImageService& service = store_.Open();
  EXPECT_EQ(store_.LayerNames().size(), 2u);
  EXPECT_TRUE(service.HoldLayers({dirs[0]}, "container").ok());
  EXPECT_FALSE(service.HoldLayers({"layers/99"}, "container").ok());
  EXPECT_FALSE(service.HoldLayers({"../etc"}, "container").ok());
  ASSERT_TRUE(service.CollectGarbage().ok());
  EXPECT_EQ(store_.LayerNames().size(), 1u);
  service.Release("container");
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
}

TEST_F(StoreTest, LeftoversGoAndADamagedImageIsForgotten) {
  const std::string good = Import("r.example/good:1", {"good"});
  const std::string bad = Import("r.example/bad:1", {"bad"});
  const std::string lost = store_.service().Find(bad)->layer_dirs[0];
  store_.Close();
  const std::string layers = store_.root() + "/layers/";
  std::filesystem::create_directories(layers + "tmp-77/half");
  std::filesystem::create_directories(layers + "78/renamed-not-recorded");
  std::filesystem::remove_all(store_.root() + "/" + lost);
  store_.Open();
  EXPECT_TRUE(store_.service().Find(good).has_value());
  EXPECT_FALSE(store_.service().Find(bad).has_value());
  EXPECT_FALSE(store_.service().Find("r.example/bad:1").has_value());
  EXPECT_EQ(store_.LayerNames().size(), 1u);
  // And stays forgotten.
  store_.Open();
  EXPECT_EQ(store_.service().List().size(), 1u);
  EXPECT_EQ(Import("r.example/bad:1", {"bad"}), bad);
}

TEST_F(StoreTest, ARecordThatIsRubbishIsForgotten) {
  const std::string id = Import("r.example/a:1", {"base"});
  store_.Close();
  {
    const auto db = os::Database::Open(store_.options().database,
                                       os::Database::Sync::kFull);
    ASSERT_TRUE(
        (*db)->Execute("UPDATE image_images SET config = x'00ff'").ok());
  }
  store_.Open();
  EXPECT_THAT(store_.service().List(), IsEmpty());
  ASSERT_TRUE(store_.service().CollectGarbage().ok());
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
}

TEST_F(StoreTest, PinnedImagesStay) {
  store_.options().pinned_images = {"r.example/pause:*"};
  store_.Open();
  const std::string id = Import("r.example/pause:3", {"pause"});
  EXPECT_TRUE(store_.service().Find(id)->pinned);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(store_.service().Remove("r.example/pause:3")));
  EXPECT_TRUE(store_.service().Find(id).has_value());
}

TEST_F(StoreTest, RemovalByOneTagRemovesAllTags) {
  const std::string id = Import("r.example/a:1", {"x"});
  EXPECT_EQ(Import("r.example/b:2", {"x"}), id);
  EXPECT_THAT(store_.service().Find(id)->repo_tags,
              ElementsAre("r.example/a:1", "r.example/b:2"));
  ASSERT_TRUE(store_.service().Remove("r.example/b:2").ok());
  EXPECT_FALSE(store_.service().Find("r.example/a:1").has_value());
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
}

TEST_F(StoreTest, AnIdPrefixMustBeUnambiguous) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(Import(absl::StrCat("r.example/a:", i), {absl::StrCat(i)}));
  }
  // Twenty ids and sixteen digits: two begin alike.
  std::sort(ids.begin(), ids.end());
  for (size_t i = 1; i < ids.size(); ++i) {
    if (ids[i][7] != ids[i - 1][7]) continue;
    EXPECT_FALSE(store_.service().Find(ids[i].substr(7, 1)).has_value());
    return;
  }
  FAIL() << "no two ids begin alike";
}

TEST_F(StoreTest, ListsWhileImagesComeAndGo) {
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) {
      for (const ImageInfo& image : store_.service().List()) {
        EXPECT_EQ(image.repo_tags.size(), 1u);
        EXPECT_EQ(image.layer_dirs.size(), 1u);
      }
    }
  });
  for (int i = 0; i < 10; ++i) {
    const std::string id = Import("r.example/a:1", {absl::StrCat(i)});
    ASSERT_TRUE(store_.service().Hold(id, "h").ok());
    ASSERT_TRUE(store_.service().Remove(id).ok());
    store_.service().Release("h");
  }
  done = true;
  reader.join();
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
}

}  // namespace
}  // namespace pinion::image
