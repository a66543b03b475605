#include "runtime/process_usage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/unique_fd.h"
#include "runtime/cgroup/stat_files.h"

namespace pinion::runtime {
namespace {

TEST(ProcessUsageTest, MaxOpenFilesIsTheSoftLimit) {
  constexpr char kLimits[] =
      "Limit                     Soft Limit           Hard Limit           "
      "Units     \n"
      "Max processes             7782                 7782                 "
      "processes \n"
      "Max open files            1024                 524288               "
      "files     \n";
  EXPECT_EQ(ParseMaxOpenFiles(kLimits), 1024U);
  EXPECT_EQ(ParseMaxOpenFiles("Max open files   unlimited  unlimited files"),
            cgroup::kNoLimit);
  EXPECT_EQ(ParseMaxOpenFiles("Max processes 1 2"), std::nullopt);
  EXPECT_EQ(ParseMaxOpenFiles("Max open files"), std::nullopt);
}

TEST(ProcessUsageTest, CountsDescriptorsAndSockets) {
  const ProcessUsage before = MeasureProcesses({getpid()}, getpid());
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const os::UniqueFd one(pair[0]);
  const os::UniqueFd other(pair[1]);
  const os::UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const ProcessUsage after = MeasureProcesses({getpid()}, getpid());
  EXPECT_EQ(after.descriptors, before.descriptors + 3);
  EXPECT_EQ(after.sockets, before.sockets + 2);
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(after.max_open_files, uint64_t{limit.rlim_cur});
}

TEST(ProcessUsageTest, AProcessThatIsGoneCountsNothing) {
  constexpr pid_t kNone = 1 << 30;
  const ProcessUsage usage = MeasureProcesses({kNone}, kNone);
  EXPECT_EQ(usage.descriptors, 0U);
  EXPECT_EQ(usage.max_open_files, std::nullopt);
}

}  // namespace
}  // namespace pinion::runtime
