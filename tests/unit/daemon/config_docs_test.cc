// The parser, docs/configuration.md and deploy/pinion.toml name the same keys
// with the same defaults.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/config.h"
#include "daemon/config_file.h"
#include "os/file.h"

namespace pinion::daemon {
namespace {

std::vector<std::string> Lines(const std::string& path) {
  const auto text = os::ReadFileAt(AT_FDCWD, path);
  EXPECT_TRUE(text.ok()) << text.status() << " (tests run in the tree's top)";
  return text.ok() ? absl::StrSplit(*text, '\n') : std::vector<std::string>();
}

std::vector<std::string> KeysWithDefaults() {
  std::vector<std::string> result;
  for (const ConfigKey& key : ConfigKeys()) {
    result.push_back(absl::StrCat(key.name, " = ", key.default_value));
  }
  return result;
}

// "key = default" of the reference's rows.
std::vector<std::string> DocumentedKeys() {
  std::vector<std::string> documented;
  for (const std::string& line : Lines("docs/configuration.md")) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() < 3 || !absl::StartsWith(cells[0], "| `")) continue;
    documented.push_back(absl::StrCat(cells[0].substr(3, cells[0].size() - 4),
                                      " = ",
                                      cells[1].substr(1, cells[1].size() - 2)));
  }
  return documented;
}

bool IsSecondary(const std::string& key) {
  return absl::StartsWith(key, "network.secondary.");
}

TEST(ConfigDocsTest, ReferenceListsTheKeysOfSecondaryNetworks) {
  std::vector<std::string> wanted;
  for (const ConfigKey& key : SecondaryNetworkKeys("NAME")) {
    wanted.push_back(absl::StrCat(key.name, " = ", key.default_value));
  }
  std::vector<std::string> documented;
  for (const std::string& row : DocumentedKeys()) {
    if (IsSecondary(row)) documented.push_back(row);
  }
  EXPECT_EQ(documented, wanted);
}

TEST(ConfigDocsTest, ReferenceListsTheParsersKeys) {
  std::vector<std::string> documented = DocumentedKeys();
  std::erase_if(documented, IsSecondary);
  EXPECT_EQ(documented, KeysWithDefaults());
}

TEST(ConfigDocsTest, ReferenceSaysWhatSighupApplies) {
  for (const std::string& line : Lines("docs/configuration.md")) {
    for (const ConfigKey& key : ConfigKeys()) {
      if (!absl::StartsWith(line, absl::StrCat("| `", key.name, "` |"))) {
        continue;
      }
      EXPECT_EQ(absl::StrContains(line, "*reload*"), key.reloadable) << line;
    }
  }
}

TEST(ConfigDocsTest, SampleListsTheParsersKeysWithTheirDefaults) {
  std::vector<std::string> sample;
  std::string uncommented;
  std::string section;
  for (const std::string& line : Lines("deploy/pinion.toml")) {
    if (absl::StartsWith(line, "[")) {
      section = absl::StrCat(line.substr(1, line.size() - 2), ".");
    } else if (absl::StartsWith(line, "#") && !absl::StartsWith(line, "# ")) {
      sample.push_back(absl::StrCat(section, line.substr(1)));
      absl::StrAppend(&uncommented, line.substr(1), "\n");
      continue;
    }
    absl::StrAppend(&uncommented, line, "\n");
  }
  EXPECT_EQ(sample, KeysWithDefaults());
  Config config;
  const absl::Status status = ApplyToml(uncommented, "sample", &config);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ConfigJson(config), ConfigJson(Config()));
}

}  // namespace
}  // namespace pinion::daemon
