// main() of a test program each of whose tests must leave no trace: no
// descriptor, thread, zombie, mount, link, network namespace or scratch cgroup
// of this process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/invariant.h"

namespace {

std::vector<std::string> ScratchCgroups() {
  std::vector<std::string> found;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
      std::string name = entry.path().filename().string();
      if (name.rfind(absl::StrCat("pn-test-", getpid(), "-"), 0) == 0) {
        found.push_back(std::move(name));
      }
    }
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  pinion::testing_support::InvariantOptions options;
  options.pid = getpid();
  options.extra["scratch cgroup"] = ScratchCgroups;
  testing::UnitTest::GetInstance()->listeners().Append(
      new pinion::testing_support::InvariantListener(options));
  return RUN_ALL_TESTS();
}
