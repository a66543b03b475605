#include "os/tree_walk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "os/file.h"

namespace pinion::os {
namespace {

class TreeWalkTest : public testing::Test {
 protected:
  TreeWalkTest() {
    char name[] = "/tmp/pn-tree-XXXXXX";
    dir_ = mkdtemp(name);
    fd_ = *OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY);
  }
  ~TreeWalkTest() override { EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, dir_).ok()); }

  // `depth` directories in each other below `top`, each with a file; made with
  // relative names, so no path is too long.
  void Nest(const std::string& top, int depth, const std::string& name) {
    ASSERT_TRUE(MakeDirAt(fd_.get(), top, 0700).ok());
    auto at = OpenAt(fd_.get(), top, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < depth; ++i) {
      ASSERT_TRUE(at.ok()) << at.status();
      ASSERT_TRUE(ReplaceFileAt(at->get(), "file", "x", 0600).ok());
      ASSERT_TRUE(MakeDirAt(at->get(), name, 0700).ok());
      at = OpenAt(at->get(), name, O_RDONLY | O_DIRECTORY);
    }
  }

  std::string dir_;
  UniqueFd fd_;
};

// Lowers the limit of open descriptors to a few more than there are.
class FewDescriptors {
 public:
  FewDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 24;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_ = {};
};

TEST_F(TreeWalkTest, ADeepTreeNeedsFewDescriptors) {
  Nest("tree", 200, "d");
  const FewDescriptors few;
  const absl::Status removed = RemoveTreeAt(fd_.get(), "tree");
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_TRUE(ListDirAt(fd_.get(), ".")->empty());
}

TEST_F(TreeWalkTest, PathsMayBeLongerThanPathMax) {
  Nest("tree", 40, std::string(250, 'n'));
  const absl::Status removed = RemoveTreeAt(fd_.get(), "tree");
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_TRUE(ListDirAt(fd_.get(), ".")->empty());
}

TEST_F(TreeWalkTest, VisitsEachDirectoryOnceAndLeavesItAfterThoseBelow) {
  for (const char* path : {"t", "t/a", "t/a/x", "t/a/y", "t/b"}) {
    ASSERT_TRUE(MakeDirAt(fd_.get(), path, 0700).ok());
  }
  std::string seen;
  TreeVisitor visitor;
  visitor.enter = [&](int dir) {
    seen += "(";
    return ListDirAt(dir, ".");
  };
  visitor.leave = [&](int, const std::string& name) {
    seen += name + ")";
    return absl::OkStatus();
  };
  const auto top = OpenAt(fd_.get(), "t", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WalkTree(top->get(), "t", visitor).ok());
  EXPECT_EQ(seen, "((b)((y)(x)a)");
}

// A container may rename its directories while its layer is measured.
TEST_F(TreeWalkTest, GoesOnFromWhereItCanWhenADirectoryIsMovedAway) {
  for (const char* path : {"t", "t/a", "t/b", "t/b/x", "t/b/x/deep", "out"}) {
    ASSERT_TRUE(MakeDirAt(fd_.get(), path, 0700).ok());
  }
  const auto deep = OpenAt(fd_.get(), "t/b/x/deep", O_RDONLY | O_DIRECTORY);
  struct stat wanted = {};
  ASSERT_EQ(fstat(deep->get(), &wanted), 0);
  std::string left;
  TreeVisitor visitor;
  visitor.enter = [&](int dir) {
    struct stat st = {};
    EXPECT_EQ(fstat(dir, &st), 0);
    if (st.st_ino == wanted.st_ino) {
      // Its ".." is now outside of the tree.
      EXPECT_EQ(renameat(fd_.get(), "t/b/x/deep", fd_.get(), "out/deep"), 0);
    }
    return ListDirAt(dir, ".");
  };
  visitor.leave = [&](int, const std::string& name) {
    left += name + " ";
    return absl::OkStatus();
  };
  const auto top = OpenAt(fd_.get(), "t", O_RDONLY | O_DIRECTORY);
  const absl::Status walked = WalkTree(top->get(), "t", visitor);
  EXPECT_TRUE(walked.ok()) << walked;
  EXPECT_EQ(left, "x b a ");
}

}  // namespace
}  // namespace pinion::os
