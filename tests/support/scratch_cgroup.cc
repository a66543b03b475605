#include "tests/support/scratch_cgroup.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "os/file.h"

namespace pinion::testing_support {
namespace {

namespace fs = std::filesystem;

void RemoveBelow(const fs::path& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.is_directory(error)) RemoveBelow(entry.path());
  }
  rmdir(directory.c_str());
}

}  // namespace

ScratchCgroup::ScratchCgroup()
    : root_(fs::exists("/sys/fs/cgroup/cgroup.controllers")
                ? "/sys/fs/cgroup"
                : "/sys/fs/cgroup/unified"),
      path_(absl::StrCat("/pn-test-", getpid(), "-", NewId().substr(0, 8))) {
  MakeDir(path_);
}

ScratchCgroup::~ScratchCgroup() {
  const absl::Status killed =
      os::WriteKernelFile(AT_FDCWD, full() + "/cgroup.kill", "1");
  EXPECT_TRUE(killed.ok()) << killed;
  const auto events = os::OpenAt(AT_FDCWD, full() + "/cgroup.events", O_RDONLY);
  // At most a minute, in steps that end as soon as something changes.
  for (int i = 0; i < 600 && events.ok(); ++i) {
    // Reading it through this descriptor is what makes poll wait for news.
    char text[128] = {};
    if (pread(events->get(), text, sizeof(text) - 1, 0) <= 0 ||
        std::string(text).find("populated 0") != std::string::npos) {
      break;
    }
    pollfd wait = {events->get(), POLLPRI, 0};
    poll(&wait, 1, 100);
  }
  RemoveBelow(full());
  EXPECT_FALSE(Exists(path_)) << "scratch cgroup left behind";
}

bool ScratchCgroup::Exists(const std::string& path) const {
  struct stat st = {};
  return stat((root_ + path).c_str(), &st) == 0;
}

std::string ScratchCgroup::Read(const std::string& path) const {
  std::ifstream file(root_ + path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::string(absl::StripAsciiWhitespace(text.str()));
}

void ScratchCgroup::Write(const std::string& path,
                          const std::string& value) const {
  const absl::Status status =
      os::WriteKernelFile(AT_FDCWD, root_ + path, value);
  ASSERT_TRUE(status.ok()) << status;
}

os::UniqueFd ScratchCgroup::Open(const std::string& path) const {
  auto fd = os::OpenAt(AT_FDCWD, root_ + path, O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(fd.ok()) << fd.status();
  return fd.ok() ? *std::move(fd) : os::UniqueFd();
}

void ScratchCgroup::MakeDir(const std::string& path) const {
  const absl::Status status = os::MakeDirAt(AT_FDCWD, root_ + path, 0755);
  ASSERT_TRUE(status.ok()) << status;
}

std::vector<pid_t> ScratchCgroup::Pids(const std::string& path) const {
  std::ifstream file(root_ + path + "/cgroup.procs");
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

}  // namespace pinion::testing_support
