#include "os/socket_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "os/file.h"
#include "os/unique_fd.h"

namespace pinion::os {
namespace {

class SocketFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pn-socket-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/s.sock";
  }
  void TearDown() override { EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, dir_).ok()); }

  UniqueFd Listen(const std::string& path) {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(
        bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  }

  std::string dir_;
  std::string path_;
};

TEST_F(SocketFileTest, NothingThereIsFree) {
  EXPECT_TRUE(CheckNobodyServes(path_).ok());
}

TEST_F(SocketFileTest, LiveSocketIsRefused) {
  const UniqueFd live = Listen(path_);
  const absl::Status status = CheckNobodyServes(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(SocketFileTest, LiveSocketWithFullQueueIsRefused) {
  const UniqueFd live = Listen(path_);
  // A backlog of 1 takes two connections; the probes themselves fill it.
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(absl::IsFailedPrecondition(CheckNobodyServes(path_)));
  }
}

TEST_F(SocketFileTest, SocketOfADeadProcessIsFree) {
  { const UniqueFd dead = Listen(path_); }
  ASSERT_EQ(access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(CheckNobodyServes(path_).ok());
}

TEST_F(SocketFileTest, OrdinaryFileIsRefused) {
  std::ofstream(path_) << "not a socket";
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckNobodyServes(path_)));
}

TEST_F(SocketFileTest, PublishReplacesTheStaleSocketWithMode0660) {
  { const UniqueFd dead = Listen(path_); }
  const UniqueFd live = Listen(StagingName(path_));
  ASSERT_TRUE(PublishSocket(path_, "").ok());
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  EXPECT_NE(access(StagingName(path_).c_str(), F_OK), 0);
  // The socket that was renamed is the one that answers.
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckNobodyServes(path_)));
}

TEST_F(SocketFileTest, PublishSetsTheGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to change the group";
  for (const std::string group : {"daemon", "1"}) {
    const UniqueFd live = Listen(StagingName(path_));
    ASSERT_TRUE(PublishSocket(path_, group).ok());
    struct stat info;
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_gid, 1u);  // Debian: daemon
  }
}

TEST_F(SocketFileTest, UnknownGroupIsRefusedAndLeavesNothing) {
  const UniqueFd live = Listen(StagingName(path_));
  const absl::Status status = PublishSocket(path_, "no-such-group-here");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(ListDirAt(AT_FDCWD, dir_)->empty());
}

TEST_F(SocketFileTest, BadPathsAreRefused) {
  for (const std::string& path :
       {std::string(), std::string("relative.sock"),
        "/" + std::string(120, 'x'), std::string("/a\0b", 4)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckSocketPath(path))) << path;
  }
  EXPECT_TRUE(CheckSocketPath("/" + std::string(102, 'x')).ok());
  EXPECT_FALSE(CheckSocketPath("/" + std::string(103, 'x')).ok());
}

TEST_F(SocketFileTest, RemoveIsIdempotent) {
  { const UniqueFd dead = Listen(path_); }
  EXPECT_TRUE(RemoveSocket(path_).ok());
  EXPECT_TRUE(RemoveSocket(path_).ok());
}

}  // namespace
}  // namespace pinion::os
