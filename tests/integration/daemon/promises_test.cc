// What the CRI promises of repeated and of given-up calls
// (docs/cri.md, "RPCs"): a retry joins, a removal of what is gone succeeds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/http_server.h"
#include "tests/support/tar_builder.h"
#include "tests/support/test_image.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using ::testing::HasSubstr;

// Long enough for a call to be under way, short enough to be given up.
constexpr std::chrono::milliseconds kImpatient(300);

class PromisesTest : public ::testing::Test {
 protected:
  pid_t MonitorPid(const std::string& pod) {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod);
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    EXPECT_TRUE(bed_.client().Call(request, &response).ok());
    const std::string& info = response.info().at("info");
    return std::atoi(info.c_str() + info.find("\"pid\":") + 6);
  }

  template <typename Response, typename Request>
  absl::Status Call(const Request& request, std::chrono::milliseconds timeout =
                                                std::chrono::minutes(2)) {
    Response response;
    return bed_.client().Call(request, &response, timeout);
  }

  DaemonBed bed_;
};

TEST_F(PromisesTest, AStartThatWasGivenUpIsJoinedByItsRetry) {
  const auto config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(config);
  cri::StartContainerRequest start;
  start.set_container_id(bed_.Create(
      pod, config,
      bed_.ContainerConfig("app", {"sh", "-c", "echo up; exec sleep 1000"})));
  const pid_t monitor = MonitorPid(pod);
  ASSERT_EQ(kill(monitor, SIGSTOP), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      Call<cri::StartContainerResponse>(start, kImpatient)));
  auto retry = std::async(std::launch::async, [&] {
    return Call<cri::StartContainerResponse>(start);
  });
  // It waits with the first one: nothing else can let it go on.
  EXPECT_EQ(retry.wait_for(kImpatient), std::future_status::timeout);
  EXPECT_EQ(kill(monitor, SIGCONT), 0);
  EXPECT_TRUE(retry.get().ok());
  EXPECT_TRUE(Call<cri::StartContainerResponse>(start).ok()) << "it runs";
  EXPECT_EQ(bed_.Status(start.container_id()).state(), cri::CONTAINER_RUNNING);
  // Started once.
  bed_.AwaitLog("pod", "app");
  EXPECT_EQ(bed_.LogLines("pod", "app"), std::vector<std::string>{"up"});
}

TEST_F(PromisesTest, ARunAndACreateThatWereGivenUpAreJoined) {
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = bed_.PodConfig("pod");
  // Whether these come to their end before the deadline or not.
  for (int i = 0; i < 5; ++i) {
    (void)Call<cri::RunPodSandboxResponse>(run, std::chrono::milliseconds(1));
  }
  cri::RunPodSandboxResponse pod;
  ASSERT_TRUE(bed_.client().Call(run, &pod).ok());
  cri::ListPodSandboxResponse pods;
  ASSERT_TRUE(bed_.client().Call(cri::ListPodSandboxRequest(), &pods).ok());
  ASSERT_EQ(pods.items_size(), 1);
  EXPECT_EQ(pods.items(0).id(), pod.pod_sandbox_id());
  EXPECT_EQ(pods.items(0).state(), cri::SANDBOX_READY);

  cri::CreateContainerRequest create;
  create.set_pod_sandbox_id(pod.pod_sandbox_id());
  *create.mutable_config() = bed_.ContainerConfig("app", {"sleep", "1000"});
  for (int i = 0; i < 5; ++i) {
    (void)Call<cri::CreateContainerResponse>(create,
                                             std::chrono::milliseconds(1));
  }
  cri::CreateContainerResponse container;
  ASSERT_TRUE(bed_.client().Call(create, &container).ok());
  cri::ListContainersResponse containers;
  ASSERT_TRUE(
      bed_.client().Call(cri::ListContainersRequest(), &containers).ok());
  ASSERT_EQ(containers.containers_size(), 1);
  EXPECT_EQ(containers.containers(0).id(), container.container_id());
}

// A registry with one image, whose layer comes when it is let go.
class SlowRegistry {
 public:
  SlowRegistry()
      : image_(MakeTestImage({TarBuilder().File("file", "content").Finish()})),
        server_([this](const auto& request, auto& connection) {
          Answer(request, connection);
        }) {}

  std::string image() const { return server_.address() + "/slow:1"; }
  void LetGo() { let_go_.Notify(); }
  int layer_requests() const { return layer_requests_; }

 private:
  void Answer(const HttpServer::Request& request,
              HttpServer::Connection& connection) {
    if (absl::StrContains(request.path, "/manifests/")) {
      connection.Answer(200, image_.manifest,
                        {"Content-Type: " + image_.manifest_type,
                         "Docker-Content-Digest: " + image_.manifest_digest});
      return;
    }
    const std::string digest = request.path.substr(request.path.rfind('/') + 1);
    if (digest == image_.layer_digests[0]) {
      ++layer_requests_;
      let_go_.WaitForNotification();
    }
    const auto blob = image_.blobs.find(digest);
    connection.Answer(blob == image_.blobs.end() ? 404 : 200,
                      blob == image_.blobs.end() ? "" : blob->second);
  }

  const TestImage image_;
  absl::Notification let_go_;
  std::atomic<int> layer_requests_ = 0;
  HttpServer server_;
};

TEST_F(PromisesTest, APullThatWasGivenUpGoesOnAndIsJoined) {
  SlowRegistry registry;
  cri::PullImageRequest pull;
  pull.mutable_image()->set_image(registry.image());
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(Call<cri::PullImageResponse>(pull, kImpatient)));
  auto retry = std::async(std::launch::async,
                          [&] { return Call<cri::PullImageResponse>(pull); });
  EXPECT_EQ(retry.wait_for(kImpatient), std::future_status::timeout);
  registry.LetGo();
  const absl::Status status = retry.get();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(registry.layer_requests(), 1);
  cri::RemoveImageRequest remove;
  *remove.mutable_image() = pull.image();
  EXPECT_TRUE(Call<cri::RemoveImageResponse>(remove).ok());
  EXPECT_TRUE(Call<cri::RemoveImageResponse>(remove).ok()) << "idempotent";
}

TEST_F(PromisesTest, WhatIsUnknownIsStoppedAndRemovedAlready) {
  const std::string id(64, 'a');
  cri::StopPodSandboxRequest stop_pod;
  stop_pod.set_pod_sandbox_id(id);
  EXPECT_TRUE(Call<cri::StopPodSandboxResponse>(stop_pod).ok());
  cri::RemovePodSandboxRequest remove_pod;
  remove_pod.set_pod_sandbox_id(id);
  EXPECT_TRUE(Call<cri::RemovePodSandboxResponse>(remove_pod).ok());
  cri::StopContainerRequest stop;
  stop.set_container_id(id);
  EXPECT_TRUE(Call<cri::StopContainerResponse>(stop).ok());
  cri::RemoveContainerRequest remove;
  remove.set_container_id(id);
  EXPECT_TRUE(Call<cri::RemoveContainerResponse>(remove).ok());
  cri::RemoveImageRequest image;
  image.mutable_image()->set_image("example.org/none:1");
  EXPECT_TRUE(Call<cri::RemoveImageResponse>(image).ok());
  // But what asks for something must find it.
  cri::ContainerStatusRequest status;
  status.set_container_id(id);
  EXPECT_TRUE(absl::IsNotFound(Call<cri::ContainerStatusResponse>(status)));
  cri::ContainerStatsRequest stats;
  stats.set_container_id(id);
  EXPECT_TRUE(absl::IsNotFound(Call<cri::ContainerStatsResponse>(stats)));
  cri::PodSandboxStatsRequest pod_stats;
  pod_stats.set_pod_sandbox_id(id);
  EXPECT_TRUE(absl::IsNotFound(Call<cri::PodSandboxStatsResponse>(pod_stats)));
}

TEST_F(PromisesTest, RemovalIsForcedWhileRunning) {
  const auto config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(config);
  const std::string id = bed_.RunContainer(
      pod, config, bed_.ContainerConfig("app", {"sleep", "1000"}));
  cri::RemoveContainerRequest remove;
  remove.set_container_id(id);
  EXPECT_TRUE(Call<cri::RemoveContainerResponse>(remove).ok());
  (void)bed_.RunContainer(pod, config,
                          bed_.ContainerConfig("other", {"sleep", "1000"}));
  EXPECT_TRUE(bed_.RemovePod(pod).ok());
  cri::ListContainersResponse left;
  ASSERT_TRUE(bed_.client().Call(cri::ListContainersRequest(), &left).ok());
  EXPECT_EQ(left.containers_size(), 0);
}

TEST_F(PromisesTest, AFailedReopenLeavesNoNewFileAndTheOldLog) {
  const auto config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(config);
  const std::string id = bed_.RunContainer(
      pod, config,
      bed_.ContainerConfig("app", {"sh", "-c", "echo one; exec sleep 1000"}));
  bed_.AwaitLog("pod", "app");
  const std::string log = bed_.Status(id).log_path();
  // Somebody put a link to a file of the node's there: it is not followed.
  const std::string victim = bed_.dir() + "/victim";
  std::filesystem::rename(log, log + ".1");
  std::filesystem::create_symlink(victim, log);
  cri::ReopenContainerLogRequest reopen;
  reopen.set_container_id(id);
  EXPECT_FALSE(Call<cri::ReopenContainerLogResponse>(reopen).ok());
  EXPECT_FALSE(std::filesystem::exists(victim));
  std::filesystem::remove(log);
  EXPECT_TRUE(Call<cri::ReopenContainerLogResponse>(reopen).ok());
  EXPECT_TRUE(std::filesystem::exists(log));
}

// A grace may be minutes long; a daemon that is to end does not wait for it,
// and does not cut it short either.
TEST_F(PromisesTest, AStopThatWaitsDoesNotHoldUpTheDaemonsEnd) {
  const auto config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(config);
  const std::string id = bed_.RunContainer(
      pod, config,
      bed_.ContainerConfig("app", {"sh", "-c",
                                   "trap 'echo told' TERM; echo up; "
                                   "while :; do sleep 1 & wait $!; done"}));
  const auto says = [&](const std::string& line) {
    return testing_support::Eventually([&] {
      const auto lines = bed_.LogLines("pod", "app");
      return !lines.empty() && lines.back() == line;
    });
  };
  ASSERT_TRUE(says("up"));
  cri::StopContainerRequest stop;
  stop.set_container_id(id);
  stop.set_timeout(600);
  auto call = std::async(std::launch::async, [&] {
    return Call<cri::StopContainerResponse>(stop, std::chrono::minutes(5));
  });
  ASSERT_TRUE(says("told"));
  EXPECT_EQ(bed_.Terminate(), 0);
  const absl::Status status = call.get();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("piniond is stopping"));
  bed_.Start();
  EXPECT_EQ(bed_.Status(id).state(), cri::CONTAINER_RUNNING);
}

// RuntimeClass handlers, pinned images: both from the configuration.
TEST(ConfiguredPromisesTest, HandlersAndPinnedImages) {
  DaemonBed bed(absl::StrCat("[runtime]\nhandlers = [\"fast\"]\n",
                             "[image]\npinned = [\"*/busybox*\", \"",
                             DaemonBed::kImage, "\"]\n"));
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = bed.PodConfig("pod");
  run.set_runtime_handler("slow");
  cri::RunPodSandboxResponse ran;
  const absl::Status refused = bed.client().Call(run, &ran);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("\"slow\""));
  run.set_runtime_handler("fast");
  ASSERT_TRUE(bed.client().Call(run, &ran).ok());
  cri::ListPodSandboxResponse pods;
  ASSERT_TRUE(bed.client().Call(cri::ListPodSandboxRequest(), &pods).ok());
  EXPECT_EQ(pods.items(0).runtime_handler(), "fast");
  cri::StatusResponse status;
  ASSERT_TRUE(bed.client().Call(cri::StatusRequest(), &status).ok());
  EXPECT_EQ(status.runtime_handlers(1).name(), "fast");

  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(DaemonBed::kImage);
  cri::ImageStatusResponse image;
  ASSERT_TRUE(bed.client().Call(request, &image).ok());
  EXPECT_TRUE(image.image().pinned());
  cri::RemoveImageRequest remove;
  *remove.mutable_image() = request.image();
  cri::RemoveImageResponse removed;
  EXPECT_TRUE(absl::IsFailedPrecondition(bed.client().Call(remove, &removed)));
  ASSERT_TRUE(bed.client().Call(request, &image).ok());
  EXPECT_TRUE(image.has_image());
}

}  // namespace
}  // namespace pinion::testing
