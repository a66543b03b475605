#include "os/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace pinion::os {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() {
    char name[] = "/tmp/pn-file-XXXXXX";
    dir_ = mkdtemp(name);
    fd_ = *OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY);
  }
  ~FileTest() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
  UniqueFd fd_;
};

TEST_F(FileTest, ReplaceIsAllOrNothing) {
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "a", "one", 0600).ok());
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "a", "two", 0600, true).ok());
  EXPECT_EQ(*ReadFileAt(fd_.get(), "a"), "two");
  EXPECT_FALSE(ReplaceFileAt(fd_.get(), "no/a", "x", 0600).ok());
  EXPECT_EQ(*ListDirAt(fd_.get(), "."), std::vector<std::string>{"a"});
}

TEST_F(FileTest, AFileInTheWayOfADirectoryIsNamed) {
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "a", "", 0600).ok());
  EXPECT_EQ(MakeDirs(dir_ + "/a/b", 0700).message(),
            "mkdir " + dir_ + "/a, which is no directory: EEXIST");
}

TEST_F(FileTest, ReadsAreBounded) {
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "a", "12345", 0600).ok());
  EXPECT_TRUE(ReadFileAt(fd_.get(), "a", 5).ok());
  EXPECT_EQ(ReadFileAt(fd_.get(), "a", 4).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, AFifoIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifoat(fd_.get(), "fifo", 0600), 0);
  const auto read = ReadFileAt(fd_.get(), "fifo");
  EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
}

TEST_F(FileTest, PathsCannotLeaveTheRoot) {
  ASSERT_TRUE(MakeDirAt(fd_.get(), "root", 0700).ok());
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "secret", "s", 0600).ok());
  ASSERT_EQ(symlinkat("../secret", fd_.get(), "root/link"), 0);
  ASSERT_EQ(symlinkat("/etc/passwd", fd_.get(), "root/abs"), 0);
  const UniqueFd root = *OpenAt(fd_.get(), "root", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(OpenInRoot(root.get(), "link", O_RDONLY).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(OpenInRoot(root.get(), "abs", O_RDONLY).ok());
  EXPECT_FALSE(OpenInRoot(root.get(), "../secret", O_RDONLY).ok());
}

TEST_F(FileTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(MakeDirs(dir_ + "/keep/sub", 0700).ok());
  ASSERT_TRUE(MakeDirs(dir_ + "/tree/a/b/c", 0700).ok());
  ASSERT_TRUE(ReplaceFileAt(fd_.get(), "tree/a/file", "x", 0600).ok());
  ASSERT_EQ(symlinkat("../../keep", fd_.get(), "tree/a/link"), 0);
  ASSERT_TRUE(RemoveTreeAt(fd_.get(), "tree").ok());
  ASSERT_TRUE(RemoveTreeAt(fd_.get(), "tree").ok()) << "missing is success";
  EXPECT_EQ(*ListDirAt(fd_.get(), "."), std::vector<std::string>{"keep"});
  EXPECT_EQ(*ListDirAt(fd_.get(), "keep"), std::vector<std::string>{"sub"});
}

}  // namespace
}  // namespace pinion::os
