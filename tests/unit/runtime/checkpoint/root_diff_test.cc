// Needs root: whiteouts are devices, overlayfs's attributes are trusted.

#include "runtime/checkpoint/root_diff.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "runtime/checkpoint/archive.h"
#include "tests/support/scratch_dir.h"

namespace pinion::checkpoint {
namespace {

constexpr auto kNever = std::chrono::steady_clock::time_point::max();

class RootDiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"upper", "copy", "images"}) {
      ASSERT_EQ(mkdir(At(name).c_str(), 0700), 0);
    }
  }

  std::string At(const std::string& path) const {
    return scratch_.path() + "/" + path;
  }
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  os::UniqueFd OpenDir(const std::string& name) const {
    return os::OpenAt(AT_FDCWD, At(name), O_RDONLY | O_DIRECTORY).value();
  }
  absl::Status Write(std::chrono::steady_clock::time_point deadline = kNever) {
    const auto file =
        os::OpenAt(AT_FDCWD, At("diff.tar"), O_CREAT | O_RDWR, 0600).value();
    return WriteRootDiff(OpenDir("upper").get(), file.get(), deadline);
  }
  // upper → diff → archive → copy.
  void Copy() {
    ASSERT_TRUE(Write().ok());
    ArchiveParts parts;
    parts.documents = {"{}", "{}", "[]"};
    const auto images = OpenDir("images");
    const auto diff = os::OpenAt(AT_FDCWD, At("diff.tar"), O_RDONLY).value();
    parts.images_dir = images.get();
    parts.root_diff = diff.get();
    ASSERT_TRUE(WriteArchive(parts, At("archive.tar")).ok());
    const auto archive = OpenArchive(At("archive.tar")).value();
    const absl::Status status = UnpackArchive(
        archive.get(), images.get(), OpenDir("copy"), {.bytes = 1 << 30});
    ASSERT_TRUE(status.ok()) << status;
  }
  struct stat Stat(const std::string& path) const {
    struct stat st = {};
    EXPECT_EQ(lstat(At(path).c_str(), &st), 0) << path;
    return st;
  }

  testing::ScratchDir scratch_;
};

TEST_F(RootDiffTest, ATreeComesBackAsItWas) {
  ASSERT_EQ(mkdir(At("upper/d").c_str(), 01777), 0);
  ASSERT_EQ(chmod(At("upper/d").c_str(), 01777), 0);
  std::ofstream(At("upper/d/f\xff")) << "content";
  ASSERT_EQ(chown(At("upper/d/f\xff").c_str(), 7, 8), 0);
  ASSERT_EQ(chmod(At("upper/d/f\xff").c_str(), 04711), 0);
  ASSERT_EQ(setxattr(At("upper/d/f\xff").c_str(), "user.a", "v", 1, 0), 0);
  ASSERT_EQ(link(At("upper/d/f\xff").c_str(), At("upper/same").c_str()), 0);
  ASSERT_EQ(symlink("/etc/passwd", At("upper/link").c_str()), 0);
  ASSERT_EQ(mkfifo(At("upper/fifo").c_str(), 0600), 0);
  ASSERT_EQ(chmod(At("upper").c_str(), 0751), 0);
  Copy();
  EXPECT_EQ(Read(At("copy/d/f\xff")), "content");
  const struct stat file = Stat("copy/d/f\xff");
  EXPECT_EQ(file.st_uid, 7U);
  EXPECT_EQ(file.st_gid, 8U);
  EXPECT_EQ(file.st_mode & 07777, 04711U);
  EXPECT_EQ(Stat("copy/same").st_ino, file.st_ino);
  EXPECT_EQ(Stat("copy/d").st_mode & 07777, 01777U);
  EXPECT_EQ(Stat("copy").st_mode & 07777, 0751U);
  EXPECT_TRUE(S_ISFIFO(Stat("copy/fifo").st_mode));
  char target[32] = {};
  EXPECT_EQ(readlink(At("copy/link").c_str(), target, sizeof(target)), 11);
  EXPECT_STREQ(target, "/etc/passwd");
  char value = 0;
  EXPECT_EQ(getxattr(At("copy/d/f\xff").c_str(), "user.a", &value, 1), 1);
}

TEST_F(RootDiffTest, WhatHidesLayersHidesThemAgain) {
  ASSERT_EQ(mkdir(At("upper/new").c_str(), 0755), 0);
  ASSERT_EQ(
      setxattr(At("upper/new").c_str(), "trusted.overlay.opaque", "y", 1, 0),
      0);
  ASSERT_EQ(
      setxattr(At("upper/new").c_str(), "trusted.overlay.origin", "o", 1, 0),
      0);
  ASSERT_EQ(mknod(At("upper/gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  Copy();
  EXPECT_TRUE(S_ISCHR(Stat("copy/gone").st_mode));
  EXPECT_EQ(Stat("copy/gone").st_rdev, makedev(0, 0));
  char value = 0;
  EXPECT_EQ(
      getxattr(At("copy/new").c_str(), "trusted.overlay.opaque", &value, 1), 1);
  EXPECT_EQ(value, 'y');
  EXPECT_EQ(
      getxattr(At("copy/new").c_str(), "trusted.overlay.origin", &value, 1),
      -1);
}

TEST_F(RootDiffTest, ASocketIsLeftOut) {
  const os::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, At("upper/s").c_str(),
          sizeof(address.sun_path) - 1);
  ASSERT_EQ(
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  Copy();
  EXPECT_NE(access(At("copy/s").c_str(), F_OK), 0);
}

TEST_F(RootDiffTest, AFileThatLooksLikeAWhiteoutIsRefused) {
  std::ofstream(At("upper/.wh.x")) << "";
  EXPECT_EQ(Write().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RootDiffTest, AFileOfHolesDoesNotFillTheDisk) {
  std::ofstream(At("upper/holes")) << "";
  ASSERT_EQ(truncate(At("upper/holes").c_str(), off_t{1} << 43), 0);
  const absl::Status status = Write();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST_F(RootDiffTest, ADeadlineEndsIt) {
  std::ofstream(At("upper/f")) << "";
  EXPECT_EQ(Write(std::chrono::steady_clock::now()).code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace pinion::checkpoint
