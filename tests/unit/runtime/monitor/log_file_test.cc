#include "runtime/monitor/log_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "os/file.h"
#include "tests/support/child.h"

namespace pinion::monitor {
namespace {

class LogFileTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = "/tmp/pn-logfile-" + std::to_string(getpid());
    ASSERT_TRUE(os::MakeDirs(dir_, 0755).ok());
    path_ = dir_ + "/0.log";
  }
  void TearDown() override {
    EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
  }

  // Lines of 40 + the length of their text + 1 bytes.
  static void Append(LogFile& log, const std::string& text) {
    CriLogFormatter formatter;
    size_t at = 0;
    while (at < text.size()) {
      LogBatch batch;
      batch.Start(0, "stdout");
      at += formatter.Format(text.data() + at, text.size() - at, &batch);
      log.Append(batch);
    }
  }
  std::string Read(const std::string& path) const {
    return os::ReadFileAt(AT_FDCWD, path, size_t{64} << 20).value_or("(none)");
  }
  static std::string Line(const std::string& text) {
    return "1970-01-01T00:00:00.000000000Z stdout F " + text + "\n";
  }

  std::string dir_;
  std::string path_;
};

TEST_F(LogFileTest, AppendsToWhatIsThere) {
  {
    LogFile log;
    ASSERT_EQ(log.Open(path_, 0), 0);
    Append(log, "one\n");
  }
  LogFile log;
  ASSERT_EQ(log.Open(path_, 0), 0);
  Append(log, "two\n");
  EXPECT_EQ(Read(path_), Line("one") + Line("two"));
  EXPECT_EQ(log.dropped_lines(), 0u);
}

TEST_F(LogFileTest, WithoutAFileLinesAreDiscarded) {
  LogFile log;
  Append(log, "one\n");
  EXPECT_EQ(log.Reopen(), 0);
  EXPECT_EQ(log.dropped_lines(), 0u);
}

TEST_F(LogFileTest, BadPathsAreRefused) {
  const auto open = [](const std::string& path) {
    LogFile log;
    return log.Open(path, 0);
  };
  EXPECT_EQ(open(""), EINVAL);
  EXPECT_EQ(open("relative.log"), EINVAL);
  EXPECT_EQ(open(dir_ + "/"), EISDIR);
  EXPECT_EQ(open(dir_ + "/missing/0.log"), ENOENT);
  EXPECT_EQ(open(dir_ + "/" + std::string(300, 'x')), ENAMETOOLONG);
  EXPECT_EQ(open("/" + std::string(5000, 'x') + "/x"), ENAMETOOLONG);
  ASSERT_EQ(symlink("/etc/hostname", path_.c_str()), 0);
  EXPECT_EQ(open(path_), ELOOP);
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(open(dir_ + "/fifo"), ENXIO);
  EXPECT_EQ(open("/dev/null"), EINVAL);
}

TEST_F(LogFileTest, ReopenAfterARename) {
  LogFile log;
  ASSERT_EQ(log.Open(path_, 0), 0);
  Append(log, "one\n");
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  Append(log, "two\n");
  ASSERT_EQ(log.Reopen(), 0);
  Append(log, "three\n");
  EXPECT_EQ(Read(path_ + ".1"), Line("one") + Line("two"));
  EXPECT_EQ(Read(path_), Line("three"));
}

TEST_F(LogFileTest, ReopenThatFailsKeepsTheOldFile) {
  LogFile log;
  ASSERT_EQ(log.Open(path_, 0), 0);
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  ASSERT_EQ(symlink("elsewhere", path_.c_str()), 0);
  EXPECT_EQ(log.Reopen(), ELOOP);
  Append(log, "one\n");
  EXPECT_EQ(Read(path_ + ".1"), Line("one"));
  EXPECT_NE(access((dir_ + "/elsewhere").c_str(), F_OK), 0);
}

TEST_F(LogFileTest, TheCapHoldsLineByLineUntilReopened) {
  LogFile log;
  ASSERT_EQ(log.Open(path_, 3 * Line("one").size()), 0);
  Append(log, "one\ntwo\n");
  Append(log, "six\nten\nx\n");
  Append(log, "x\n");
  EXPECT_EQ(Read(path_), Line("one") + Line("two") + Line("six"));
  EXPECT_EQ(log.dropped_lines(), 3u);
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  ASSERT_EQ(log.Reopen(), 0);
  Append(log, "new\n");
  EXPECT_EQ(Read(path_), Line("new"));
  EXPECT_EQ(log.dropped_lines(), 3u);
}

// RLIMIT_FSIZE stops a write half-way, as a full disk does. In a process of
// its own, as the limit is the process's.
TEST_F(LogFileTest, ATornLineIsTakenBackAndCounted) {
  const std::string first = Line("first");
  testing_support::Child child([&] {
    signal(SIGXFSZ, SIG_IGN);
    LogFile log;
    if (log.Open(path_, 0) != 0) return 1;
    Append(log, "first\n");
    const rlimit small = {first.size() + 50, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 2;
    // 41 bytes and a bit fit: one whole line of the three.
    Append(log, "1\n2\n3\n");
    if (log.dropped_lines() != 2) return 3;
    Append(log, "4\n");
    if (log.dropped_lines() != 3) return 4;
    const rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &none) != 0) return 5;
    Append(log, "5\n");
    return log.dropped_lines() == 3 ? 0 : 6;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(Read(path_), first + Line("1") + Line("5"));
}

}  // namespace
}  // namespace pinion::monitor
