// Pulls that end in the middle: SIGKILL, a full disk. Needs root (a mount
// namespace of its own).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/integration/image/registry_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/http_server.h"
#include "tests/support/tar_builder.h"

namespace pinion::image {
namespace {

using ::pinion::testing::HttpServer;
using ::pinion::testing::MakeOciArchive;
using ::pinion::testing::MakeTestImage;
using ::pinion::testing::ScratchDir;
using ::pinion::testing::TarBuilder;
using ::pinion::testing::TestImage;
using ::testing::IsEmpty;

std::string Noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string data(size, '\0');
  for (char& c : data) c = static_cast<char>(random());
  return data;
}

TEST(CrashTest, APullThatIsKilledLeavesNothing) {
  const char* const build = getenv("PINION_BUILD");
  if (build == nullptr) GTEST_SKIP() << "PINION_BUILD is not set";
  const TestImage image =
      MakeTestImage({TarBuilder().File("a", Noise(300'000, 1)).Finish(),
                     TarBuilder().File("b", Noise(300'000, 2)).Finish()});
  absl::Notification half;
  std::once_flag first;
  absl::Notification over;
  HttpServer server([&](const HttpServer::Request& request,
                        HttpServer::Connection& connection) {
    if (absl::StrContains(request.path, "/manifests/")) {
      connection.Answer(200, image.manifest,
                        {"Content-Type: " + image.manifest_type});
      return;
    }
    const std::string digest = request.path.substr(request.path.rfind('/') + 1);
    const std::string& blob = image.blobs.at(digest);
    if (digest != image.layer_digests[1]) {
      connection.Answer(200, blob);
      return;
    }
    connection.Send(
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", blob.size(),
                     "\r\n\r\n", blob.substr(0, 200'000)));
    std::call_once(first, [&half] { half.Notify(); });
    over.WaitForNotification();
  });
  ScratchDir scratch;
  const std::string tool = absl::StrCat(build, "/bench/pull_bench");
  const std::string reference = server.address() + "/app:v1";
  const char* const argv[] = {tool.c_str(), reference.c_str(),
                              scratch.path().c_str(), nullptr};
  pid_t pid = -1;
  ASSERT_EQ(posix_spawn(&pid, tool.c_str(), nullptr, nullptr,
                        const_cast<char* const*>(argv), environ),
            0);
  half.WaitForNotification();
  // The server is ahead of its client: until that has something on disk.
  const std::string layers = scratch.path() + "/layers";
  EXPECT_TRUE(testing_support::Eventually([&layers] {
    // No throw past the server, whose thread waits.
    std::error_code missing;
    const bool empty = std::filesystem::is_empty(layers, missing);
    return !missing && !empty;
  }));
  kill(pid, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  over.Notify();
  EXPECT_FALSE(std::filesystem::is_empty(layers));
  Options options;
  options.root = scratch.path();
  options.database = scratch.path() + "/state.db";
  const auto metrics = metrics::Registry::Create();
  const auto service = ImageService::Create(options, *metrics);
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_TRUE(std::filesystem::is_empty(layers));
  EXPECT_THAT((*service)->List(), IsEmpty());
}

// Runs `body` with a tmpfs of `size` on `directory`, in a mount namespace
// that only the calling thread's children threads see.
void OnSmallDisk(const std::string& directory, const char* size,
                 const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_FS | CLONE_NEWNS), 0) << strerror(errno);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", directory.c_str(), "tmpfs", 0, size), 0);
    body();
  }).join();
}

// Archives instead of a registry: the disk is what this is about.
void Fill(const std::string& path, const std::string& name,
          const std::string& content) {
  std::ofstream(path, std::ios::binary) << MakeOciArchive(
      MakeTestImage({TarBuilder().File("small", "s").Finish(),
                     TarBuilder().File("f", content).Finish()}),
      name);
}

TEST(FullDiskTest, NothingStaysAndRemovalStillWorks) {
  const ScratchDir scratch;
  const std::string disk = scratch.path() + "/disk";
  std::filesystem::create_directory(disk);
  const std::string large = scratch.path() + "/large.tar";
  const std::string small = scratch.path() + "/small.tar";
  Fill(large, "r.example/large:1", std::string(16'000'000, 'x'));
  Fill(small, "r.example/small:1", std::string(100'000, 'x'));
  OnSmallDisk(disk, "size=12m", [&] {
    Options options;
    options.root = disk;
    options.database = disk + "/state.db";
    const auto metrics = metrics::Registry::Create();
    auto service = ImageService::Create(options, *metrics);
    ASSERT_TRUE(service.ok()) << service.status();
    const auto failed = (*service)->Import(large, "");
    EXPECT_TRUE(absl::IsResourceExhausted(failed.status())) << failed.status();
    EXPECT_TRUE(std::filesystem::is_empty(disk + "/layers"));
    ASSERT_TRUE((*service)->Import(small, "").ok());
    {
      std::ofstream filler(disk + "/filler", std::ios::binary);
      while (filler.write("0123456789abcdef", 16).flush()) {
      }
    }
    EXPECT_EQ(std::filesystem::space(disk).available, 0u);
    EXPECT_FALSE((*service)->Import(large, "").ok());
    const absl::Status removed = (*service)->Remove("r.example/small:1");
    EXPECT_TRUE(removed.ok()) << removed;
    EXPECT_THAT((*service)->List(), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(disk + "/layers"));
    // The same after a restart.
    service->reset();
    service = ImageService::Create(options, *metrics);
    ASSERT_TRUE(service.ok()) << service.status();
    EXPECT_THAT((*service)->List(), IsEmpty());
  });
}

TEST(FullDiskTest, OutOfInodesIsTheSame) {
  const ScratchDir scratch;
  const std::string disk = scratch.path() + "/disk";
  std::filesystem::create_directory(disk);
  TarBuilder tar;
  for (int i = 0; i < 200; ++i) tar.File(absl::StrCat("f", i), "x");
  const std::string archive = scratch.path() + "/many.tar";
  std::ofstream(archive, std::ios::binary)
      << MakeOciArchive(MakeTestImage({tar.Finish()}), "r.example/many:1");
  OnSmallDisk(disk, "nr_inodes=100", [&] {
    Options options;
    options.root = disk;
    options.database = scratch.path() + "/state.db";
    const auto metrics = metrics::Registry::Create();
    const auto service = ImageService::Create(options, *metrics);
    ASSERT_TRUE(service.ok()) << service.status();
    const auto failed = (*service)->Import(archive, "");
    EXPECT_TRUE(absl::IsResourceExhausted(failed.status())) << failed.status();
    EXPECT_TRUE(std::filesystem::is_empty(disk + "/layers"));
  });
}

}  // namespace
}  // namespace pinion::image
