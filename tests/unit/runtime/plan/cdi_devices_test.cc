#include "runtime/plan/cdi_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_dir.h"

namespace pinion::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CdiDevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& dir : dirs_) std::filesystem::create_directory(dir);
  }

  // A specification whose devices set their own name, and it FILE.
  static std::string Spec(const std::string& kind, const std::string& file,
                          const std::vector<std::string>& devices) {
    std::string text = "cdiVersion: 0.5.0\nkind: " + kind +
                       "\ncontainerEdits: {env: [FILE=" + file +
                       "]}\ndevices:\n";
    for (const std::string& name : devices) {
      text += "- {name: " + name + ", containerEdits: {env: [" + name + "=" +
              file + "]}}\n";
    }
    return text;
  }

  void Write(size_t dir, const std::string& name, const std::string& text) {
    std::ofstream(dirs_[dir] + "/" + name) << text;
  }

  absl::StatusOr<CdiEdits> Find(const std::vector<std::string>& names) {
    return FindCdiDevices(dirs_, names);
  }

  absl::Status Error(const std::string& name) { return Find({name}).status(); }

  pinion::testing::ScratchDir scratch_;
  const std::vector<std::string> dirs_ = {scratch_.path() + "/etc",
                                          scratch_.path() + "/run"};
};

TEST_F(CdiDevicesTest, WhatOthersThanRootCanWriteIsNotBelieved) {
  Write(0, "a.yaml", Spec("v/a", "1", {"x"}));
  const std::string path = dirs_[0] + "/a.yaml";
  ASSERT_EQ(chmod(path.c_str(), 0664), 0);
  EXPECT_THAT(std::string(Error("v/a=x").message()),
              HasSubstr("others than root can write it"));
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(Find({"v/a=x"}).ok());
  ASSERT_EQ(chown(path.c_str(), 1000, 0), 0);
  EXPECT_FALSE(Find({"v/a=x"}).ok());
}

TEST_F(CdiDevicesTest, AFilesOwnEditsComeOnceBeforeItsDevices) {
  Write(0, "a.yaml", Spec("v/a", "1", {"x", "y"}));
  Write(0, "b.yaml", Spec("v/b", "2", {"z"}));
  Write(0, "c.txt", Spec("v/a", "3", {"x"}));  // no specification
  const auto edits = Find({"v/a=y", "v/b=z", "v/a=x"});
  ASSERT_TRUE(edits.ok()) << edits.status();
  EXPECT_THAT(edits->env, ElementsAre("FILE=1", "y=1", "FILE=2", "z=2", "x=1"));
}

TEST_F(CdiDevicesTest, TheLaterDirectoryCounts) {
  Write(0, "a.yaml", Spec("v/a", "static", {"x", "y"}));
  Write(1, "a.yaml", Spec("v/a", "dynamic", {"x"}));
  EXPECT_THAT(Find({"v/a=x"})->env, ElementsAre("FILE=dynamic", "x=dynamic"));
  EXPECT_THAT(Find({"v/a=y"})->env, ElementsAre("FILE=static", "y=static"));
}

TEST_F(CdiDevicesTest, TwoFilesOfOneDirectoryAreAConflict) {
  Write(1, "a.yaml", Spec("v/a", "1", {"x", "y"}));
  Write(1, "b.yaml", Spec("v/a", "2", {"x"}));
  const absl::Status status = Error("v/a=x");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("a.yaml"), HasSubstr("b.yaml")));
  EXPECT_TRUE(Find({"v/a=y"}).ok());
}

TEST_F(CdiDevicesTest, AnUnknownDeviceIsNamedAndSoAreBadFiles) {
  Write(0, "bad.yaml", "kind: [\n");
  Write(0, "good.yaml", Spec("v/a", "1", {"x"}));
  const absl::Status status = Error("v/a=nope");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(
      std::string(status.message()),
      ::testing::AllOf(HasSubstr("v/a=nope"), HasSubstr("bad.yaml: line"),
                       HasSubstr(dirs_[1])));
  EXPECT_TRUE(Find({"v/a=x"}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Error("not a name")));
}

TEST_F(CdiDevicesTest, AnUnsupportedEditRefusesTheDeviceOnly) {
  Write(0, "a.json", R"({"cdiVersion": "0.5.0", "kind": "v/a", "devices": [
      {"name": "x", "containerEdits": {"hooks": [
          {"hookName": "createContainer", "path": "/bin/h"}]}},
      {"name": "y", "containerEdits": {"env": ["A=B"]}}]})");
  const absl::Status status = Error("v/a=x");
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("hook createContainer (/bin/h)"));
  EXPECT_TRUE(Find({"v/a=y"}).ok());
}

TEST_F(CdiDevicesTest, WhatIsNoFileOrTooLongIsAnErrorNotAWait) {
  ASSERT_EQ(mkfifo((dirs_[0] + "/fifo.yaml").c_str(), 0600), 0);
  std::filesystem::create_directory(dirs_[0] + "/dir.json");
  Write(0, "long.yaml", std::string((1 << 20) + 1, '#'));
  const absl::Status status = Error("v/a=x");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("fifo.yaml"), HasSubstr("dir.json"),
                               HasSubstr("long.yaml")));
}

TEST_F(CdiDevicesTest, NoDirectoriesNoDevices) {
  EXPECT_TRUE(FindCdiDevices({}, {}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(FindCdiDevices({}, {"v/a=x"}).status()));
}

}  // namespace
}  // namespace pinion::plan
