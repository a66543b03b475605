#include "runtime/checkpoint/criu.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/scratch_dir.h"

namespace pinion::checkpoint {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

// The word after each `option`.
std::vector<std::string> Values(const std::vector<std::string>& words,
                                const std::string& option) {
  std::vector<std::string> values;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == option) values.push_back(words[i + 1]);
  }
  return values;
}

TEST(CriuTest, AMissingCriuSaysWhatToInstall) {
  const testing::ScratchDir dir;
  const auto found = FindCriu({dir.path()});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("apt-get install criu"));
}

TEST(CriuTest, TheFirstThatMayBeExecutedIsTaken) {
  const testing::ScratchDir first;
  const testing::ScratchDir second;
  for (const auto* dir : {&first, &second}) {
    std::ofstream(dir->path() + "/criu") << "#!/bin/sh\n";
  }
  ASSERT_EQ(chmod((second.path() + "/criu").c_str(), 0755), 0);
  EXPECT_EQ(FindCriu({first.path(), second.path()}).value(),
            second.path() + "/criu");
}

TEST(CriuTest, ADumpLeavesTheContainerRunning) {
  DumpCommand command;
  command.pid = 42;
  command.images_dir = "/i";
  command.script = "/s";
  command.mounts = {{"/data", "/run/data"}, {"/dev/shm", "/dev/shm"}};
  const auto words = DumpArguments(command);
  EXPECT_EQ(words[0], "criu");
  EXPECT_EQ(words[1], "dump");
  EXPECT_THAT(words, IsSupersetOf({"--leave-running", "--tcp-close",
                                   "--manage-cgroups=ignore"}));
  EXPECT_THAT(Values(words, "--tree"), ::testing::ElementsAre("42"));
  EXPECT_THAT(
      Values(words, "--external"),
      ::testing::ElementsAre("mnt[/run/data]:/data", "mnt[/dev/shm]:/dev/shm"));
}

TEST(CriuTest, ARestoreInheritsTheStreamsThatWerePipes) {
  RestoreCommand command;
  command.images_dir = "/i";
  command.root = "/r";
  command.pid_file = "/p";
  command.mounts = {{"/data", "/stage/0"}};
  command.stdio = {"", "pipe:[7]", "pipe:[8]"};
  const auto words = RestoreArguments(command);
  EXPECT_EQ(words[1], "restore");
  EXPECT_THAT(words, ::testing::Contains("--restore-detached"));
  EXPECT_THAT(Values(words, "--external"),
              ::testing::ElementsAre("mnt[/data]:/stage/0"));
  EXPECT_THAT(Values(words, "--inherit-fd"),
              ::testing::ElementsAre("fd[1]:pipe:[7]", "fd[2]:pipe:[8]"));
  EXPECT_THAT(Values(words, "--pidfile"), ::testing::ElementsAre("/p"));
}

TEST(CriuTest, TheLastErrorsOfALogAreOneLine) {
  std::string log = "(00.1) Warn  (a.c:1): not this\n";
  for (int i = 0; i < 6; ++i) {
    log += "(00.2) Error (b.c:" + std::to_string(i) + "): no \x01 luck\n";
  }
  EXPECT_EQ(ErrorsOf(log),
            "Error (b.c:2): no ? luck; Error (b.c:3): no ? luck; "
            "Error (b.c:4): no ? luck; Error (b.c:5): no ? luck");
  EXPECT_EQ(ErrorsOf("all is well\n"), "criu gave no reason");
  EXPECT_LT(ErrorsOf("Error (" + std::string(100000, 'x')).size(), 1000U);
}

}  // namespace
}  // namespace pinion::checkpoint
