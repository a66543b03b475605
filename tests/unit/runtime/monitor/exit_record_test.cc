#include "runtime/monitor/exit_record.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "os/file.h"

namespace pinion::monitor {
namespace {

ExitMessage Example() {
  ExitMessage exit;
  exit.id = "3f2a";
  exit.code = 137;
  exit.signal = 9;
  exit.oom_killed = true;
  exit.finished_at_ns = 1'789'000'000'123'456'789;
  exit.dropped_lines = 4;
  exit.error = "exec /nope: ENOENT";
  return exit;
}

std::string Format(const ExitMessage& exit) {
  char buffer[kMaxExitRecord];
  return std::string(buffer, FormatExitRecord(exit, buffer));
}

TEST(ExitRecordTest, SurvivesTheRoundTrip) {
  const std::string text = Format(Example());
  ExitMessage exit;
  ASSERT_TRUE(ParseExitRecord(text, &exit));
  EXPECT_EQ(exit.id, "3f2a");
  EXPECT_EQ(exit.code, 137);
  EXPECT_EQ(exit.signal, 9);
  EXPECT_TRUE(exit.oom_killed);
  EXPECT_EQ(exit.finished_at_ns, 1'789'000'000'123'456'789);
  EXPECT_EQ(exit.dropped_lines, 4u);
  EXPECT_EQ(exit.error, "exec /nope: ENOENT");
}

TEST(ExitRecordTest, EveryTruncationIsNoRecord) {
  const std::string text = Format(Example());
  ExitMessage exit;
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseExitRecord(text.substr(0, size), &exit)) << size;
  }
}

TEST(ExitRecordTest, UnknownLinesAreSkipped) {
  ExitMessage exit;
  ASSERT_TRUE(
      ParseExitRecord("pinion-exit 1\nid x\nnew thing\ncode 3\nend\n", &exit));
  EXPECT_EQ(exit.code, 3);
}

TEST(ExitRecordTest, NonsenseIsNoRecord) {
  ExitMessage exit;
  for (const char* text :
       {"", "end\n", "pinion-exit 2\nid x\nend\n", "pinion-exit 1\nend\n",
        "pinion-exit 1\nid ../x\nend\n", "pinion-exit 1\nid x\ncode x\nend\n",
        "pinion-exit 1\nid x\nfinished 99999999999999999999\nend\n"}) {
    EXPECT_FALSE(ParseExitRecord(text, &exit)) << text;
  }
}

TEST(ExitRecordTest, LongOrBrokenErrorsStayOneLine) {
  ExitMessage exit = Example();
  const std::string error = std::string(2000, 'e') + "\n";
  exit.error = error;
  const std::string long_text = Format(exit);
  ASSERT_TRUE(ParseExitRecord(long_text, &exit));
  EXPECT_EQ(exit.error, std::string(512, 'e'));
  exit.error = "a\nend\nb";
  const std::string text = Format(exit);
  ASSERT_TRUE(ParseExitRecord(text, &exit));
  EXPECT_EQ(exit.error, "a end b");
}

TEST(ExitRecordTest, IsWrittenInOneStep) {
  const std::string dir = "/tmp/pn-exit-" + std::to_string(getpid());
  ASSERT_TRUE(os::MakeDirs(dir, 0700).ok());
  const auto fd = os::OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(WriteExitRecord(fd->get(), Example()), 0);
  EXPECT_EQ(WriteExitRecord(fd->get(), Example()), 0);
  EXPECT_EQ(os::ListDirAt(fd->get(), "exits").value(),
            std::vector<std::string>{"3f2a"});
  EXPECT_EQ(os::ReadFileAt(fd->get(), "exits/3f2a").value(), Format(Example()));
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir).ok());
  EXPECT_NE(WriteExitRecord(fd->get(), Example()), 0);
}

}  // namespace
}  // namespace pinion::monitor
