#include "tools/leftovers.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

namespace pinion::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LeftoversTest, OnlyWhatIsMore) {
  EXPECT_THAT(
      Leftovers({{"mounts", 3}, {"links", 2}}, {{"mounts", 3}, {"links", 1}}),
      IsEmpty());
  EXPECT_THAT(Leftovers({{"mounts", 3}}, {{"mounts", 5}, {"links", 1}}),
              ElementsAre("links: 1 more", "mounts: 2 more"));
}

TEST(CountTest, SeesFilesAndProcesses) {
  char name[] = "/tmp/pn-leftovers-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  Places places;
  places.root = name;
  places.state = name;
  places.cgroup_directory = name;
  const Census before = Count(places);
  EXPECT_GT(before.at("mounts"), 0U);
  EXPECT_GE(before.at("links"), 1U);
  ASSERT_TRUE(os::MakeDirs(std::string(name) + "/layers/1", 0755).ok());
  ASSERT_TRUE(os::MakeDirs(std::string(name) + "/pods/x", 0755).ok());
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  EXPECT_THAT(Leftovers(before, Count(places)),
              ElementsAre("cgroups: 4 more", "layers: 1 more",
                          "pod directories: 1 more", "processes: 1 more"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, name).ok());
}

}  // namespace
}  // namespace pinion::tools
