// Changes as transactions, on files that every cgroup has, whatever its
// controllers: cgroup.max.depth and cgroup.max.descendants. Needs root.

#include "runtime/cgroup/limit_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::ScratchCgroup;

class LimitWriterTest : public testing::Test {
 protected:
  LimitWriterTest() : dir_(scratch_.Open(scratch_.path())) {
    options_.on_missing = [this](const Setting& setting) {
      missing_.push_back(setting.file);
      return absl::OkStatus();
    };
  }

  absl::Status Apply(const std::vector<Setting>& settings) {
    return ApplySettings(dir_.get(), scratch_.path(), settings, options_);
  }
  std::string Read(const std::string& file) {
    return scratch_.Read(scratch_.path() + "/" + file);
  }

  ScratchCgroup scratch_;
  os::UniqueFd dir_;
  WriteOptions options_;
  std::vector<std::string> missing_;
};

TEST_F(LimitWriterTest, WritesAndReadsBack) {
  ASSERT_TRUE(
      Apply({{"cgroup.max.depth", "5"}, {"cgroup.max.descendants", "7"}}).ok());
  EXPECT_EQ(Read("cgroup.max.depth"), "5");
  EXPECT_EQ(Read("cgroup.max.descendants"), "7");
}

TEST_F(LimitWriterTest, AFailureUndoesWhatWasWrittenBefore) {
  ASSERT_TRUE(Apply({{"cgroup.max.depth", "5"}}).ok());
  const absl::Status status = Apply({{"cgroup.max.depth", "6"},
                                     {"cgroup.max.descendants", "7"},
                                     {"cgroup.freeze", "nonsense"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(scratch_.path()));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("write \"nonsense\" to cgroup.freeze: EINVAL"));
  EXPECT_EQ(Read("cgroup.max.depth"), "5");
  EXPECT_EQ(Read("cgroup.max.descendants"), "max");
}

TEST_F(LimitWriterTest, AValueThatDoesNotReadBackIsAnError) {
  // Taken by the kernel, but shown as "5".
  const absl::Status status =
      Apply({{"cgroup.max.descendants", "9"}, {"cgroup.max.depth", "0x5"}});
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Read("cgroup.max.descendants"), "max");
  EXPECT_EQ(Read("cgroup.max.depth"), "max");
}

TEST_F(LimitWriterTest, AMissingFileIsReportedBeforeAnythingIsWritten) {
  options_.on_missing = [](const Setting& setting) {
    return absl::FailedPreconditionError("no " + setting.file);
  };
  EXPECT_EQ(Apply({{"cgroup.max.depth", "5"}, {"pids.nothing", "1"}}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Read("cgroup.max.depth"), "max");
}

TEST_F(LimitWriterTest, AMissingFileThatIsIgnoredDoesNotStopTheRest) {
  ASSERT_TRUE(Apply({{"pids.nothing", "1"}, {"cgroup.max.depth", "5"}}).ok());
  EXPECT_THAT(missing_, ElementsAre("pids.nothing"));
  EXPECT_EQ(Read("cgroup.max.depth"), "5");
}

TEST_F(LimitWriterTest, AReadOnlyFileIsAnError) {
  EXPECT_FALSE(Apply({{"cgroup.events", "1"}}).ok());
}

}  // namespace
}  // namespace pinion::cgroup
