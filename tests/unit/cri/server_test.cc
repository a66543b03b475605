#include "cri/server.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;
using ::testing::HasSubstr;

class ServerTest : public ServedTest {
 protected:
  grpc::Status Version() {
    api::VersionResponse response;
    return Call(*rpc_, &Stub::Version, api::VersionRequest(), &response);
  }
};

TEST_F(ServerTest, TheSocketIs0660) {
  struct stat info;
  ASSERT_EQ(stat(options_.socket_path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  EXPECT_TRUE(Version().ok());
}

TEST_F(ServerTest, ASecondServerOnALiveSocketIsRefused) {
  const auto second = Server::Create(options_, dependencies_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_TRUE(Version().ok());  // and the first is unharmed
}

TEST_F(ServerTest, AStaleSocketIsReplaced) {
  // What a killed daemon leaves: the name without a listener.
  const std::string kept = dir_ + "/kept";
  ASSERT_EQ(link(options_.socket_path.c_str(), kept.c_str()), 0);
  server_.reset();
  ASSERT_EQ(rename(kept.c_str(), options_.socket_path.c_str()), 0);
  auto server = Server::Create(options_, dependencies_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = std::move(*server);
  Connect();
  EXPECT_TRUE(Version().ok());
}

TEST_F(ServerTest, BadPathsAndGroupsAreRefusedAndLeaveNothing) {
  Options options = options_;
  options.socket_path = "relative.sock";
  EXPECT_TRUE(
      absl::IsInvalidArgument(Server::Create(options, dependencies_).status()));
  options.socket_path = dir_ + "/" + std::string(100, 'x');
  EXPECT_TRUE(
      absl::IsInvalidArgument(Server::Create(options, dependencies_).status()));
  options.socket_path = dir_ + "/no/such/dir/s";
  EXPECT_FALSE(Server::Create(options, dependencies_).ok());
  options.socket_path = dir_ + "/other.sock";
  options.socket_group = "no-such-group";
  EXPECT_TRUE(
      absl::IsInvalidArgument(Server::Create(options, dependencies_).status()));
  EXPECT_THAT(*os::ListDirAt(AT_FDCWD, dir_),
              testing::ElementsAre("pinion.sock"));
}

TEST_F(ServerTest, OddSocketNamesWork) {
  Options options = options_;
  options.socket_path = dir_ + "/a %41?#b.sock";
  auto server = Server::Create(options, dependencies_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(access(options.socket_path.c_str(), F_OK), 0);
}

TEST_F(ServerTest, MessagesOf16MibGoBothWays) {
  api::CreateContainerRequest request = ContainerRequest(RunPod());
  // 127 arguments of 128 KiB less one byte: just below the limit.
  for (int i = 0; i < 127; ++i) {
    request.mutable_config()->add_args(std::string((128 << 10) - 1, 'x'));
  }
  ASSERT_GT(request.ByteSizeLong(), 16'600'000u);
  ASSERT_LT(request.ByteSizeLong(), 16u << 20);
  api::CreateContainerResponse created;
  grpc::Status status = Call(*rpc_, &Stub::CreateContainer, request, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();

  api::ContainerStatusRequest ask;
  ask.set_container_id(created.container_id());
  ask.set_verbose(true);  // with argv: 16.6 MB back
  api::ContainerStatusResponse answer;
  status = Call(*rpc_, &Stub::ContainerStatus, ask, &answer);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(answer.info().at("info").size(), 16'600'000u);

  request.mutable_config()->add_args(std::string((128 << 10) - 1, 'x'));
  EXPECT_EQ(Call(*rpc_, &Stub::CreateContainer, request, &created).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Version().ok());
}

// 300 calls wait out their grace; Status and the lists answer meanwhile.
TEST_F(ServerTest, WaitingHandlersKeepNobodyWaiting) {
  constexpr int kStops = 300;
  const std::string id = Create(RunPod());
  absl::Notification release;
  std::atomic<int> waiting = 0;
  absl::Notification all_wait;
  runtime_.hooks.stop_container = [&](const std::string&,
                                      std::chrono::seconds) {
    if (waiting.fetch_add(1) + 1 == kStops) all_wait.Notify();
    release.WaitForNotification();
    return absl::OkStatus();
  };

  grpc::CompletionQueue queue;
  api::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(30);
  struct Pending {
    grpc::ClientContext context;
    grpc::Status status;
    api::StopContainerResponse response;
    std::unique_ptr<grpc::ClientAsyncResponseReader<api::StopContainerResponse>>
        reader;
  };
  std::vector<Pending> pending(kStops);
  for (Pending& call : pending) {
    call.reader = rpc_->AsyncStopContainer(&call.context, request, &queue);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  ASSERT_TRUE(all_wait.WaitForNotificationWithTimeout(absl::Seconds(30)));

  const Stopwatch watch;
  for (int i = 0; i < 20; ++i) {
    api::StatusResponse status;
    EXPECT_TRUE(Call(*rpc_, &Stub::Status, api::StatusRequest(), &status).ok());
    api::ListContainersResponse list;
    EXPECT_TRUE(
        Call(*rpc_, &Stub::ListContainers, api::ListContainersRequest(), &list)
            .ok());
  }
  // 40 calls, each a fraction of a millisecond; seconds would be starvation.
  EXPECT_LT(watch.Seconds(), 5.0);
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cri_rpc_in_flight 300"));

  release.Notify();
  for (int i = 0; i < kStops; ++i) {
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_TRUE(static_cast<Pending*>(tag)->status.ok());
  }
}

TEST_F(ServerTest, CallsBeyondTheThreadLimitAreTurnedAway) {
  server_.reset();
  options_.max_threads = 4;
  server_ = std::move(Server::Create(options_, dependencies_).value());
  Connect();
  const std::string id = Create(RunPod());
  absl::Notification release;
  runtime_.hooks.stop_container = [&](const std::string&,
                                      std::chrono::seconds) {
    release.WaitForNotification();
    return absl::OkStatus();
  };
  constexpr int kCalls = 40;
  std::vector<std::thread> threads;
  std::atomic<int> refused = 0;
  std::atomic<int> served = 0;
  absl::Notification first_refusal;
  for (int i = 0; i < kCalls; ++i) {
    threads.emplace_back([&] {
      api::StopContainerRequest request;
      request.set_container_id(id);
      api::StopContainerResponse response;
      const grpc::Status status =
          Call(*rpc_, &Stub::StopContainer, request, &response);
      if (status.ok()) {
        ++served;
      } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
                 refused.fetch_add(1) == 0) {
        first_refusal.Notify();
      }
    });
  }
  EXPECT_TRUE(first_refusal.WaitForNotificationWithTimeout(absl::Seconds(20)));
  release.Notify();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused + served, kCalls);
  EXPECT_GE(served, 1);
  EXPECT_TRUE(Version().ok());
}

TEST_F(ServerTest, ShutdownRemovesTheSocketAndLetsCallsFinish) {
  const std::string id = Create(RunPod());
  absl::Notification release;
  absl::Notification waits;
  runtime_.hooks.stop_container = [&](const std::string&,
                                      std::chrono::seconds) {
    waits.Notify();
    release.WaitForNotification();
    return absl::OkStatus();
  };
  grpc::Status status(grpc::StatusCode::UNKNOWN, "not called");
  std::thread client([&] {
    api::StopContainerRequest request;
    request.set_container_id(id);
    api::StopContainerResponse response;
    status = Call(*rpc_, &Stub::StopContainer, request, &response);
  });
  waits.WaitForNotification();
  absl::Status drained;
  std::thread stopper(
      [&] { drained = server_->Shutdown(std::chrono::seconds(20)); });
  // The socket goes first; then the handler is let go.
  while (access(options_.socket_path.c_str(), F_OK) == 0) {
    std::this_thread::yield();
  }
  release.Notify();
  stopper.join();
  client.join();
  EXPECT_TRUE(drained.ok()) << drained;
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(server_->Shutdown(std::chrono::seconds(0)).ok());
}

TEST_F(ServerTest, ShutdownSaysWhenHandlersStillRun) {
  const std::string id = Create(RunPod());
  absl::Notification release;
  absl::Notification waits;
  runtime_.hooks.stop_container = [&](const std::string&,
                                      std::chrono::seconds) {
    waits.Notify();
    release.WaitForNotification();
    return absl::OkStatus();
  };
  std::thread client([&] {
    api::StopContainerRequest request;
    request.set_container_id(id);
    api::StopContainerResponse response;
    // Cancelled at the deadline, though its handler still runs.
    EXPECT_FALSE(Call(*rpc_, &Stub::StopContainer, request, &response).ok());
  });
  waits.WaitForNotification();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      server_->Shutdown(std::chrono::milliseconds(50))));
  client.join();
  release.Notify();
  EXPECT_TRUE(server_->Shutdown(std::chrono::seconds(20)).ok());
}

}  // namespace
}  // namespace pinion::cri
