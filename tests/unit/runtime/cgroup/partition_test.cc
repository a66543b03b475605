// On directories of plain files, which keep what was behind a shorter text: no
// kernel of ours has remote partitions. On a real one: tests/vm/suites/cpu.sh.

#include "runtime/cgroup/partition.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "os/file.h"
#include "os/unique_fd.h"
#include "tests/support/scratch_dir.h"

namespace pinion::cgroup {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// slice/pod/leaf below a root that has no such files.
class PartitionTest : public ::testing::Test {
 protected:
  PartitionTest() {
    std::filesystem::create_directories(dir_.path() + "/slice/pod/leaf");
    for (const char* group : {"slice", "slice/pod", "slice/pod/leaf"}) {
      Write(group, "cpuset.cpus.exclusive", "");
      Write(group, "cpuset.cpus.partition", "member");
    }
  }

  void Write(const std::string& group, const std::string& file,
             const std::string& text) {
    std::ofstream(dir_.path() + "/" + group + "/" + file) << text;
  }
  std::string Read(const std::string& group, const std::string& file) {
    return *os::ReadFileAt(AT_FDCWD, dir_.path() + "/" + group + "/" + file);
  }
  std::string Exclusive(const std::string& group) {
    return Read(group, "cpuset.cpus.exclusive");
  }
  os::UniqueFd Leaf() {
    return *os::OpenAt(AT_FDCWD, dir_.path() + "/slice/pod/leaf",
                       O_RDONLY | O_DIRECTORY);
  }

  testing::ScratchDir dir_;
  const CpuSet cpus_ = *CpuSet::Parse("2-3");
};

TEST_F(PartitionTest, ListsItsCpusInEveryCgroupAbove) {
  Write("slice", "cpuset.cpus.exclusive", "1");
  ASSERT_TRUE(MakePartition(Leaf().get(), cpus_, "isolated").ok());
  EXPECT_EQ(Exclusive("slice"), "1-3") << "beside another's";
  EXPECT_EQ(Exclusive("slice/pod"), "2-3");
  EXPECT_EQ(Exclusive("slice/pod/leaf"), "2-3");
  EXPECT_EQ(*PartitionOf(Leaf().get()), "isolated");
  EXPECT_EQ(Read("slice/pod", "cpuset.cpus.partition"), "member");
  // As a restarted daemon does.
  EXPECT_TRUE(MakePartition(Leaf().get(), cpus_, "isolated").ok());
}

TEST_F(PartitionTest, GivesThemBackWhenItEnds) {
  Write("slice", "cpuset.cpus.exclusive", "0,2-3");
  Write("slice/pod", "cpuset.cpus.exclusive", "2-3");
  Write("slice/pod/leaf", "cpuset.cpus.exclusive", "2-3");
  ASSERT_TRUE(EndPartition(Leaf().get(), cpus_).ok());
  EXPECT_THAT(Exclusive("slice"), StartsWith("0"));
  EXPECT_THAT(Exclusive("slice/pod"), StartsWith("\n"));
  EXPECT_THAT(Exclusive("slice/pod/leaf"), StartsWith("\n"));
  EXPECT_EQ(*PartitionOf(Leaf().get()), "member");
}

TEST_F(PartitionTest, TellsWhyTheKernelRefused) {
  Write("slice/pod/leaf", "cpuset.cpus.partition",
        "member   invalid (Cpu list in cpuset.cpus not exclusive)");
  const absl::Status status = MakePartition(Leaf().get(), cpus_, "isolated");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("not exclusive"));
  EXPECT_THAT(Exclusive("slice"), StartsWith("\n")) << "undone";
  EXPECT_THAT(Read("slice/pod/leaf", "cpuset.cpus.partition"),
              StartsWith("member"));
}

TEST_F(PartitionTest, SaysWhatAnOldKernelLacks) {
  std::filesystem::remove(dir_.path() + "/slice/pod/leaf/" +
                          "cpuset.cpus.exclusive");
  EXPECT_THAT(std::string(CheckPartitions(Leaf().get()).message()),
              HasSubstr("needs Linux 6.7 or later"));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      MakePartition(Leaf().get(), cpus_, "isolated")));
  EXPECT_TRUE(EndPartition(Leaf().get(), cpus_).ok()) << "it is none";
  std::filesystem::remove(dir_.path() + "/slice/pod/leaf/" +
                          "cpuset.cpus.partition");
  EXPECT_THAT(std::string(CheckPartitions(Leaf().get()).message()),
              HasSubstr("needs the cpuset controller"));
}

}  // namespace
}  // namespace pinion::cgroup
