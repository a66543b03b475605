// Needs root: ownership, devices, trusted attributes.

#include "image/layer_tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "image/layer_unpacker.h"
#include "os/file.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/tar_builder.h"
#include "tests/unit/image/string_stream.h"

namespace pinion::image {
namespace {

using ::pinion::testing::ScratchDir;
using ::pinion::testing::TarBuilder;
using ::pinion::testing::TarEntry;

// The layer's directory stands between a directory and a file that no entry
// may reach.
class LayerTreeTest : public ::testing::Test {
 protected:
  LayerTreeTest() {
    std::filesystem::create_directory(root());
    std::filesystem::create_directory(scratch_.path() + "/outside");
    std::ofstream(scratch_.path() + "/victim") << "intact";
  }

  void TearDown() override {
    EXPECT_EQ(Read(scratch_.path() + "/victim"), "intact");
    EXPECT_TRUE(std::filesystem::is_empty(scratch_.path() + "/outside"));
    size_t names = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(scratch_.path())) {
      (void)entry;
      ++names;
    }
    EXPECT_EQ(names, 3u) << "something appeared beside the layer";
  }

  std::string root() const { return scratch_.path() + "/layer"; }
  std::string At(const std::string& path) const { return root() + "/" + path; }

  absl::Status Unpack(const std::string& tar, UnpackLimits limits = {},
                      size_t chunk = 65536) {
    auto directory =
        os::OpenAt(AT_FDCWD, root(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.ok()) return directory.status();
    tree_ = std::make_unique<LayerTree>(*std::move(directory));
    StringStream stream(tar, chunk);
    return UnpackLayer(stream, *tree_, limits);
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  struct stat Stat(const std::string& path) const {
    struct stat st = {};
    EXPECT_EQ(lstat(At(path).c_str(), &st), 0) << path;
    return st;
  }

  bool Exists(const std::string& path) const {
    struct stat st = {};
    return lstat(At(path).c_str(), &st) == 0;
  }

  bool IsWhiteout(const std::string& path) const {
    const struct stat st = Stat(path);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
  }

  std::string Xattr(const std::string& path, const char* name) const {
    char value[256];
    const ssize_t n = lgetxattr(At(path).c_str(), name, value, sizeof(value));
    return n < 0 ? "none" : std::string(value, static_cast<size_t>(n));
  }

  bool IsOpaque(const std::string& path) const {
    return Xattr(path, "trusted.overlay.opaque") == "y";
  }

  ScratchDir scratch_;
  std::unique_ptr<LayerTree> tree_;
};

TEST_F(LayerTreeTest, KeepsContentModeOwnerAndTime) {
  TarBuilder tar;
  TarEntry root_entry;
  root_entry.name = "./";
  root_entry.type = '5';
  root_entry.mode = 0555;
  root_entry.mtime = 77;
  tar.Add(root_entry);
  TarEntry dir;
  dir.name = "d/";
  dir.type = '5';
  dir.mode = 01777;
  dir.uid = 5;
  dir.gid = 6;
  dir.mtime = 1'000'000'000;
  tar.Add(dir);
  TarEntry file;
  file.name = "d/f";
  file.content = std::string(100'000, 'x');
  file.mode = 06755;
  file.uid = 100'000;
  file.gid = 42;
  file.mtime = 1'234'567'890;
  tar.Add(file);
  ASSERT_TRUE(Unpack(tar.Finish(), {}, 1000).ok());
  EXPECT_EQ(Read(At("d/f")), file.content);
  const struct stat st = Stat("d/f");
  EXPECT_EQ(st.st_mode & 07777, 06755u);
  EXPECT_EQ(st.st_uid, 100'000u);
  EXPECT_EQ(st.st_gid, 42u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1'234'567'890);
  EXPECT_EQ(Stat("d").st_mode & 07777, 01777u);
  EXPECT_EQ(Stat("d").st_gid, 6u);
  EXPECT_EQ(Stat("d").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(Stat(".").st_mode & 07777, 0555u);
  EXPECT_EQ(Stat(".").st_mtim.tv_sec, 77);
  EXPECT_TRUE(tree_->root_given());
  EXPECT_EQ(tree_->inodes(), 3u);
  EXPECT_EQ(tree_->bytes(), 102'400u + 4096u);
}

TEST_F(LayerTreeTest, ARootThatNoEntryNamesIs0755) {
  ASSERT_TRUE(Unpack(TarBuilder().File("f", "x").Finish()).ok());
  EXPECT_EQ(Stat(".").st_mode & 07777, 0755u);
  EXPECT_FALSE(tree_->root_given());
}

TEST_F(LayerTreeTest, MakesLinksFifosAndDevices) {
  TarBuilder tar;
  tar.File("f", "x").Symlink("s", "../../etc/passwd").HardLink("h", "f");
  TarEntry node;
  node.name = "fifo";
  node.type = '6';
  tar.Add(node);
  node.name = "null";
  node.type = '3';
  node.major = 1;
  node.minor = 3;
  node.mode = 0666;
  tar.Add(node);
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_EQ(std::filesystem::read_symlink(At("s")), "../../etc/passwd");
  EXPECT_EQ(Stat("h").st_ino, Stat("f").st_ino);
  EXPECT_TRUE(S_ISFIFO(Stat("fifo").st_mode));
  EXPECT_EQ(Stat("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(Stat("null").st_mode & 07777, 0666u);
}

TEST_F(LayerTreeTest, MakesParentsThatNoEntryNamed) {
  ASSERT_TRUE(
      Unpack(TarBuilder().File("a/b/f", "x").Dir("a", 0700).Finish()).ok());
  EXPECT_EQ(Stat("a").st_mode & 07777, 0700u);
  EXPECT_EQ(Stat("a/b").st_mode & 07777, 0755u);
  EXPECT_EQ(tree_->implicit(), std::set<std::string>{"a/b"});
}

TEST_F(LayerTreeTest, NamesAreBytesInAnyLocale) {
  TarBuilder tar;
  TarEntry entry;
  entry.name = "short";
  entry.pax = {{"path", "gr\xc3\xbc\xc3\x9f"}};
  tar.Add(entry);
  tar.File("latin\xe9", "y");
  tar.File(std::string(150, 'n') + "\xc3\xa9", "z");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_TRUE(Exists("gr\xc3\xbc\xc3\x9f"));
  EXPECT_TRUE(Exists("latin\xe9"));
  EXPECT_TRUE(Exists(std::string(150, 'n') + "\xc3\xa9"));
}

TEST_F(LayerTreeTest, LaterEntriesReplaceEarlierOnes) {
  TarBuilder tar;
  tar.File("f", "old").File("f", "new");
  tar.Dir("d").File("d/inside", "x").File("d", "now a file");
  tar.File("x", "x").Dir("x").File("x/inside", "y");
  tar.Symlink("s", "f").File("s", "not through the link");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_EQ(Read(At("f")), "new");
  EXPECT_EQ(Read(At("d")), "now a file");
  EXPECT_EQ(Read(At("x/inside")), "y");
  EXPECT_TRUE(IsOpaque("x"));
  EXPECT_EQ(Read(At("s")), "not through the link");
}

TEST_F(LayerTreeTest, ADirectoryNamedTwiceKeepsItsContent) {
  ASSERT_TRUE(
      Unpack(TarBuilder().Dir("d").File("d/f", "x").Dir("d", 0700).Finish())
          .ok());
  EXPECT_EQ(Read(At("d/f")), "x");
  EXPECT_EQ(Stat("d").st_mode & 07777, 0700u);
  EXPECT_FALSE(IsOpaque("d"));
}

TEST_F(LayerTreeTest, WhiteoutsBecomeDevicesAndOpaqueDirectories) {
  TarBuilder tar;
  tar.File(".wh.gone", "").Dir("d").File("d/.wh..wh..opq", "").File("d/f", "");
  tar.File("a/.wh.b", "");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_TRUE(IsWhiteout("gone"));
  EXPECT_FALSE(Exists(".wh.gone"));
  EXPECT_TRUE(IsOpaque("d"));
  EXPECT_FALSE(Exists("d/.wh..wh..opq"));
  EXPECT_TRUE(IsWhiteout("a/b"));
  EXPECT_FALSE(tree_->root_opaque());
}

TEST_F(LayerTreeTest, AWhiteoutHidesOnlyWhatIsBelow) {
  TarBuilder tar;
  tar.File("f", "mine").File(".wh.f", "");
  tar.Dir("d").File("d/f", "mine").File(".wh.d", "");
  tar.File(".wh.e", "").Dir("e").File("e/f", "mine");
  tar.File(".wh.p", "").File("p/q", "mine");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_EQ(Read(At("f")), "mine");
  EXPECT_EQ(Read(At("d/f")), "mine");
  EXPECT_TRUE(IsOpaque("d"));
  EXPECT_EQ(Read(At("e/f")), "mine");
  EXPECT_TRUE(IsOpaque("e"));
  EXPECT_EQ(Read(At("p/q")), "mine");
  EXPECT_TRUE(IsOpaque("p"));
}

TEST_F(LayerTreeTest, AnOpaqueRootIsReported) {
  ASSERT_TRUE(Unpack(TarBuilder().File(".wh..wh..opq", "").Finish()).ok());
  EXPECT_TRUE(tree_->root_opaque());
}

TEST_F(LayerTreeTest, RefusesWhiteoutsOfNothingAndOfTheParent) {
  for (const char* name :
       {".wh.", ".wh..", ".wh...", "d/.wh...", ".wh.x/inside"}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(Unpack(TarBuilder().File(name, "").Finish())))
        << name;
  }
}

TEST_F(LayerTreeTest, IgnoresAufsOwnFiles) {
  ASSERT_TRUE(
      Unpack(TarBuilder().Dir(".wh..wh.plnk").File(".wh..wh.aufs", "").Finish())
          .ok());
  EXPECT_TRUE(std::filesystem::is_empty(root()));
}

TEST_F(LayerTreeTest, RefusesDotDotAnywhere) {
  for (const char* name :
       {"../victim", "d/../../victim", "..", "a/..", "/../victim"}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(Unpack(TarBuilder().File(name, "!").Finish())))
        << name;
  }
  EXPECT_FALSE(Unpack(TarBuilder().HardLink("h", "../victim").Finish()).ok());
}

TEST_F(LayerTreeTest, AbsoluteNamesStartAtTheLayer) {
  ASSERT_TRUE(
      Unpack(TarBuilder().File("/etc/passwd", "x").File("//y", "").Finish())
          .ok());
  EXPECT_EQ(Read(At("etc/passwd")), "x");
  EXPECT_TRUE(Exists("y"));
}

TEST_F(LayerTreeTest, SymlinksInAPathStayInside) {
  const std::string out = scratch_.path();
  TarBuilder tar;
  tar.Symlink("abs", out).File("abs/victim", "evil");
  tar.Symlink("rel", "../../../../../../.." + out + "/outside");
  tar.File("rel/f", "evil").Dir("rel/d").Symlink("rel/s", "x");
  tar.Symlink("up", "..").File("up/victim", "evil");
  tar.File("rel/.wh.g", "");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  // The same paths, below the layer.
  EXPECT_EQ(Read(root() + out + "/victim"), "evil");
  EXPECT_EQ(Read(root() + out + "/outside/f"), "evil");
  EXPECT_EQ(Read(At("victim")), "evil");
}

TEST_F(LayerTreeTest, FollowsALinkedDirectoryOfTheLayer) {
  TarBuilder tar;
  tar.Dir("usr/lib").Symlink("lib", "usr/lib").File("lib/libc.so", "c");
  tar.Symlink("run", "/var/run").File("run/lock/x", "y");
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_EQ(Read(At("usr/lib/libc.so")), "c");
  EXPECT_TRUE(S_ISLNK(Stat("lib").st_mode));
  EXPECT_EQ(Read(At("var/run/lock/x")), "y");
}

TEST_F(LayerTreeTest, RefusesLoopsAndFilesAsDirectories) {
  EXPECT_FALSE(Unpack(TarBuilder()
                          .Symlink("a", "b")
                          .Symlink("b", "a")
                          .File("a/f", "")
                          .Finish())
                   .ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      Unpack(TarBuilder().File("f", "").File("f/g", "").Finish())));
}

TEST_F(LayerTreeTest, HardLinksStayInside) {
  const std::string out = scratch_.path();
  // Through a link that points outside, and by an absolute name: both mean a
  // file below the layer, which is not there.
  EXPECT_FALSE(Unpack(TarBuilder()
                          .Symlink("door", out)
                          .HardLink("h", "door/victim")
                          .Finish())
                   .ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      Unpack(TarBuilder().HardLink("h2", out + "/victim").Finish())));
  EXPECT_FALSE(Unpack(TarBuilder().HardLink("h3", "").Finish()).ok());
  EXPECT_FALSE(Unpack(TarBuilder().Dir("d").HardLink("h4", "d").Finish()).ok());
  for (const char* name : {"h", "h2", "h3", "h4"}) EXPECT_FALSE(Exists(name));
}

TEST_F(LayerTreeTest, AHardLinkToASymlinkLinksTheSymlink) {
  ASSERT_TRUE(Unpack(TarBuilder()
                         .Symlink("s", scratch_.path() + "/victim")
                         .HardLink("h", "s")
                         .Finish())
                  .ok());
  EXPECT_TRUE(S_ISLNK(Stat("h").st_mode));
}

TEST_F(LayerTreeTest, AHardLinkToItselfChangesNothing) {
  ASSERT_TRUE(
      Unpack(TarBuilder().File("f", "x").HardLink("f", "./f").Finish()).ok());
  EXPECT_EQ(Read(At("f")), "x");
}

TEST_F(LayerTreeTest, KeepsCapabilitiesAndUserAttributesOnly) {
  // Version 2, effective, CAP_NET_RAW (capabilities(7)).
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
  TarBuilder tar;
  TarEntry file;
  file.name = "f";
  file.mode = 0755;
  file.uid = 7;
  file.pax = {{"SCHILY.xattr.security.capability", capability},
              {"SCHILY.xattr.user.note", "hello"},
              {"SCHILY.xattr.trusted.overlay.opaque", "y"},
              {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.other", "z"},
              {"SCHILY.xattr.user.overlay.opaque", "y"},
              {"SCHILY.xattr.security.ima", "z"}};
  tar.Add(file);
  TarEntry dir = file;
  dir.name = "d";
  dir.type = '5';
  dir.pax.erase(dir.pax.begin());
  tar.Add(dir);
  ASSERT_TRUE(Unpack(tar.Finish()).ok());
  EXPECT_EQ(Xattr("f", "security.capability"), capability);
  EXPECT_EQ(Stat("f").st_uid, 7u);
  for (const char* path : {"f", "d"}) {
    EXPECT_EQ(Xattr(path, "user.note"), "hello");
    for (const char* name :
         {"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.other",
          "user.overlay.opaque", "security.ima"}) {
      EXPECT_EQ(Xattr(path, name), "none") << path << " " << name;
    }
  }
}

TEST_F(LayerTreeTest, RefusesARootThatIsNoDirectory) {
  for (const char* name : {".", "./", "/", ""}) {
    EXPECT_FALSE(Unpack(TarBuilder().Symlink(name, "/etc").Finish()).ok());
    EXPECT_FALSE(Unpack(TarBuilder().File(name, "x").Finish()).ok());
  }
  EXPECT_TRUE(std::filesystem::is_directory(root()));
}

TEST_F(LayerTreeTest, BoundsEntriesAndBytes) {
  TarBuilder tar;
  for (int i = 0; i < 11; ++i) tar.File("f" + std::to_string(i), "12345");
  UnpackLimits limits;
  limits.entries = 10;
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(tar.Finish(), limits)));
  limits.entries = 11;
  limits.bytes = 54;
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(tar.Finish(), limits)));
  limits.bytes = 55;
  EXPECT_TRUE(Unpack(tar.Finish(), limits).ok());
}

TEST_F(LayerTreeTest, RefusesDamagedArchives) {
  const std::string tar = TarBuilder().File("f", "content").Finish();
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(std::string(4096, 'x'))));
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(tar.substr(0, 515))));
  std::string damaged = tar;
  damaged[0] = 'g';  // the checksum no longer fits
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(damaged)));
}

TEST_F(LayerTreeTest, HolesStayHolesAndCountAsBytes) {
  // GNU.sparse.map as GNU tar's pax format 0.1 has it: data at 0 and at the
  // end of a gigabyte.
  TarEntry entry;
  entry.name = "sparse";
  entry.content = "headtail";
  entry.pax = {{"GNU.sparse.size", "1073741824"},
               {"GNU.sparse.numblocks", "2"},
               {"GNU.sparse.map", "0,4,1073741820,4"}};
  const std::string tar = TarBuilder().Add(entry).Finish();
  UnpackLimits limits;
  limits.bytes = 1 << 20;
  EXPECT_TRUE(absl::IsInvalidArgument(Unpack(tar, limits)));
  ASSERT_TRUE(Unpack(tar).ok());
  EXPECT_EQ(Stat("sparse").st_size, 1'073'741'824);
  EXPECT_LT(Stat("sparse").st_blocks, 100);
}

TEST_F(LayerTreeTest, AStreamsErrorPassesThrough) {
  class Broken : public ByteStream {
   public:
    absl::StatusOr<std::string_view> Next() override {
      return absl::UnavailableError("reset");
    }
  } broken;
  auto directory = os::OpenAt(AT_FDCWD, root(), O_RDONLY | O_DIRECTORY);
  LayerTree tree(*std::move(directory));
  EXPECT_EQ(UnpackLayer(broken, tree), absl::UnavailableError("reset"));
}

}  // namespace
}  // namespace pinion::image
