// Needs root: archives must be root's.

#include "runtime/checkpoint/archive.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/scratch_dir.h"
#include "tests/support/tar_builder.h"

namespace pinion::checkpoint {
namespace {

constexpr UnpackLimits kLimits = {.bytes = 1 << 30};

using testing::TarBuilder;

// The two directories to fill stand between a file and a directory that no
// archive may reach.
class ArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"images", "root", "outside"}) {
      ASSERT_EQ(mkdir(At(name).c_str(), 0700), 0);
    }
    std::ofstream(At("victim")) << "intact";
  }
  void TearDown() override {
    EXPECT_EQ(Read("victim"), "intact");
    EXPECT_TRUE(std::filesystem::is_empty(At("outside")));
  }

  std::string At(const std::string& path) const {
    return scratch_.path() + "/" + path;
  }
  std::string Read(const std::string& path) const {
    std::ostringstream text;
    text << std::ifstream(At(path)).rdbuf();
    return text.str();
  }
  os::UniqueFd OpenDir(const std::string& name) const {
    return os::OpenAt(AT_FDCWD, At(name), O_RDONLY | O_DIRECTORY).value();
  }
  os::UniqueFd Put(const TarBuilder& tar) const {
    std::ofstream(At("a.tar")) << tar.Finish();
    return os::OpenAt(AT_FDCWD, At("a.tar"), O_RDONLY).value();
  }
  absl::Status Unpack(const TarBuilder& tar,
                      const UnpackLimits& limits = kLimits) {
    const auto archive = Put(tar);
    const auto images = OpenDir("images");
    return UnpackArchive(archive.get(), images.get(), OpenDir("root"), limits);
  }
  absl::Status Write(const std::string& path) const {
    const auto images = OpenDir("images");
    const auto diff =
        os::OpenAt(AT_FDCWD, At("diff"), O_CREAT | O_RDWR, 0600).value();
    std::ofstream(At("diff")) << TarBuilder().Finish();
    ArchiveParts parts;
    parts.documents = {"config", "spec", "descriptors"};
    parts.images_dir = images.get();
    parts.root_diff = diff.get();
    return WriteArchive(parts, path);
  }

  testing::ScratchDir scratch_;
};

TEST_F(ArchiveTest, TheDocumentsAreFoundAndTheImagesUnpacked) {
  std::ofstream(At("images/pages-1.img")) << std::string(3 << 20, 'p');
  std::ofstream(At("images/dump.log")) << "log";
  ASSERT_TRUE(Write(At("c.tar")).ok());
  struct stat st = {};
  ASSERT_EQ(stat(At("c.tar").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);

  const auto archive = OpenArchive(At("c.tar"));
  ASSERT_TRUE(archive.ok()) << archive.status();
  const auto documents = ReadDocuments(archive->get());
  ASSERT_TRUE(documents.ok()) << documents.status();
  EXPECT_EQ(documents->config, "config");
  EXPECT_EQ(documents->spec, "spec");
  EXPECT_EQ(documents->descriptors, "descriptors");

  ASSERT_EQ(mkdir(At("again").c_str(), 0700), 0);
  const auto again = OpenDir("again");
  ASSERT_TRUE(
      UnpackArchive(archive->get(), again.get(), OpenDir("root"), kLimits)
          .ok());
  EXPECT_EQ(Read("again/pages-1.img"), std::string(3 << 20, 'p'));
  EXPECT_FALSE(std::filesystem::exists(At("again/dump.log")));
}

TEST_F(ArchiveTest, AnArchiveIsReplacedInOneStepAndNothingElseIsLeft) {
  std::ofstream(At("outside.tar")) << "before";
  ASSERT_TRUE(Write(At("outside.tar")).ok());
  EXPECT_NE(Read("outside.tar"), "before");
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(scratch_.path())) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre("images", "root", "outside",
                                              "victim", "diff", "outside.tar"));
}

TEST_F(ArchiveTest, AFailureLeavesNothing) {
  // An image that cannot be read: a directory.
  ASSERT_EQ(mkdir(At("images/d").c_str(), 0700), 0);
  EXPECT_FALSE(Write(At("c.tar")).ok());
  EXPECT_FALSE(std::filesystem::exists(At("c.tar")));
  EXPECT_FALSE(std::filesystem::exists(At(".c.tar.partial")));
  EXPECT_EQ(Write(At("nowhere/c.tar")).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ArchiveTest, OnlyRootsOwnArchivesAreOpened) {
  const auto code = [this](const std::string& path) {
    return OpenArchive(At(path)).status().code();
  };
  EXPECT_EQ(code("missing"), absl::StatusCode::kNotFound);
  EXPECT_EQ(code("outside"), absl::StatusCode::kInvalidArgument);
  std::ofstream(At("c.tar")) << "";
  EXPECT_EQ(code("c.tar"), absl::StatusCode::kOk);
  ASSERT_EQ(chmod(At("c.tar").c_str(), 0620), 0);
  EXPECT_EQ(code("c.tar"), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(chmod(At("c.tar").c_str(), 0600), 0);
  ASSERT_EQ(chown(At("c.tar").c_str(), 1000, 0), 0);
  EXPECT_EQ(code("c.tar"), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(symlink("c.tar", At("link").c_str()), 0);
  EXPECT_NE(code("link"), absl::StatusCode::kOk);
}

TEST_F(ArchiveTest, WithoutItsDocumentsItIsNoCheckpoint) {
  TarBuilder tar;
  tar.File("config.dump", "c").File("spec.dump", "s");
  EXPECT_EQ(ReadDocuments(Put(tar).get()).status().code(),
            absl::StatusCode::kInvalidArgument);
  tar.Symlink("checkpoint/descriptors.json", "/etc/passwd");
  EXPECT_EQ(ReadDocuments(Put(tar).get()).status().code(),
            absl::StatusCode::kInvalidArgument);
  tar.File("./checkpoint/descriptors.json", "d");
  EXPECT_EQ(ReadDocuments(Put(tar).get()).value().descriptors, "d");
}

TEST_F(ArchiveTest, NoNameLeadsOutOfTheDirectories) {
  for (const char* name :
       {"checkpoint/../victim", "checkpoint//victim", "checkpoint/a/b",
        "checkpoint/..", "checkpoint/.hidden", "checkpoint/a\nb"}) {
    SCOPED_TRACE(name);
    TarBuilder tar;
    tar.File(name, "evil");
    EXPECT_EQ(Unpack(tar).code(), absl::StatusCode::kInvalidArgument);
  }
  // What is not the archive's own is not looked at.
  TarBuilder other;
  other.File("../victim", "evil").File("/victim", "evil").Dir("checkpoint/");
  EXPECT_TRUE(Unpack(other).ok());
  EXPECT_TRUE(std::filesystem::is_empty(At("images")));
}

TEST_F(ArchiveTest, ImagesAreRegularFilesAndThereOnce) {
  TarBuilder link;
  link.Symlink("checkpoint/a.img", At("victim"));
  EXPECT_EQ(Unpack(link).code(), absl::StatusCode::kInvalidArgument);
  TarBuilder hard;
  hard.HardLink("checkpoint/a.img", "victim");
  EXPECT_EQ(Unpack(hard).code(), absl::StatusCode::kInvalidArgument);
  TarBuilder twice;
  twice.File("checkpoint/b.img", "1").File("checkpoint/b.img", "2");
  EXPECT_EQ(Unpack(twice).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ArchiveTest, TheRootsChangesStayInTheRoot) {
  TarBuilder diff;
  diff.Dir("./").File("./a", "x").Symlink("./out", "../outside");
  diff.File("./out/b", "evil");
  TarBuilder tar;
  tar.File("rootfs-diff.tar", diff.Finish());
  (void)Unpack(tar);
  EXPECT_EQ(Read("root/a"), "x");
  TarBuilder up;
  up.File("../victim", "evil");
  TarBuilder second;
  second.File("rootfs-diff.tar", up.Finish());
  EXPECT_EQ(Unpack(second).code(), absl::StatusCode::kInvalidArgument);
  TarBuilder both;
  both.File("rootfs-diff.tar", TarBuilder().Finish());
  both.File("rootfs-diff.tar", TarBuilder().Finish());
  EXPECT_EQ(Unpack(both).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ArchiveTest, SizesAndCountsAreBounded) {
  TarBuilder tar;
  tar.File("checkpoint/a.img", "12345").File("checkpoint/b.img", "12345");
  UnpackLimits limits;
  limits.bytes = 9;
  EXPECT_EQ(Unpack(tar, limits).code(), absl::StatusCode::kResourceExhausted);
  limits.bytes = 100;
  limits.entries = 1;
  EXPECT_EQ(Unpack(TarBuilder().File("x", "").File("y", ""), limits).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace pinion::checkpoint
