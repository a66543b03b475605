#include "cri/rpc_decorator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "admin.pb.h"
#include "cri/api.h"
#include "metrics/metrics.h"
#include "tests/support/fake_clock.h"
#include "tests/support/wall_clock_step.h"
#include "tests/unit/cri/requests.h"

namespace pinion::cri {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RpcDecoratorTest : public testing::Test {
 protected:
  RpcDecoratorTest()
      : metrics_(metrics::Registry::Create()), decorator_(*metrics_, clock_) {}

  // Serves a StopContainer whose handler is `call`.
  absl::Status Stop(absl::FunctionRef<absl::Status()> call) {
    api::StopContainerRequest request;
    request.set_container_id("c0ffee");
    return decorator_.Serve("StopContainer", request,
                            api::StopContainerResponse(), call);
  }

  // What the calls of `call` wrote to the log.
  std::string Logged(absl::FunctionRef<void()> call) {
    testing::internal::CaptureStderr();
    call();
    return testing::internal::GetCapturedStderr();
  }

  testing_support::FakeClock clock_;
  std::unique_ptr<metrics::Registry> metrics_;
  RpcDecorator decorator_;
};

TEST_F(RpcDecoratorTest, CountsCallsErrorsAndTime) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Stop([this] {
                  clock_.Advance(std::chrono::milliseconds(20));
                  return absl::OkStatus();
                }).ok());
  }
  EXPECT_TRUE(absl::IsUnavailable(
      Stop([] { return absl::UnavailableError("monitor is gone"); })));
  const std::string text = metrics_->Render();
  EXPECT_THAT(
      text,
      HasSubstr("pinion_cri_rpc_requests_total{method=\"StopContainer\"} 4"));
  EXPECT_THAT(text, HasSubstr("pinion_cri_rpc_errors_total{code=\"UNAVAILABLE\""
                              ",method=\"StopContainer\"} 1"));
  EXPECT_THAT(text, HasSubstr("pinion_cri_rpc_duration_seconds_count{method="
                              "\"StopContainer\"} 4"));
  EXPECT_THAT(text, HasSubstr("pinion_cri_rpc_duration_seconds_sum{method="
                              "\"StopContainer\"} 0.06"));
  EXPECT_THAT(text, HasSubstr("pinion_cri_rpc_in_flight 0"));
  // Nobody asked for it: no row.
  EXPECT_THAT(text, Not(HasSubstr("method=\"PullImage\"")));
}

TEST_F(RpcDecoratorTest, InFlightCountsWhileTheHandlerRuns) {
  EXPECT_TRUE(Stop([this] {
                EXPECT_THAT(metrics_->Render(),
                            HasSubstr("pinion_cri_rpc_in_flight 1"));
                return absl::OkStatus();
              }).ok());
}

// The clock jumps a year back while calls are awaited.
TEST_F(RpcDecoratorTest, AStepOfTheWallClockMovesNoDeadline) {
  (void)Stop([&] {
    const auto begin = std::chrono::steady_clock::now();
    std::thread waiting([&] {
      EXPECT_FALSE(decorator_.AwaitIdle(std::chrono::milliseconds(300)));
    });
    testing_support::wall_clock_step_seconds = -365 * 24 * 3600;
    waiting.join();
    testing_support::wall_clock_step_seconds = 0;
    EXPECT_GE(std::chrono::steady_clock::now() - begin,
              std::chrono::milliseconds(300));
    return absl::OkStatus();
  });
  EXPECT_TRUE(decorator_.AwaitIdle(std::chrono::milliseconds(0)));
}

TEST_F(RpcDecoratorTest, KeepsCodeAndMessage) {
  const absl::Status status =
      Stop([] { return absl::NotFoundError("no container \"x\""); });
  EXPECT_EQ(status, absl::NotFoundError("no container \"x\""));
}

TEST_F(RpcDecoratorTest, ExceptionsAndUnknownBecomeInternal) {
  const absl::Status thrown =
      Stop([]() -> absl::Status { throw std::runtime_error("boom"); });
  EXPECT_TRUE(absl::IsInternal(thrown));
  EXPECT_THAT(std::string(thrown.message()), HasSubstr("boom"));
  EXPECT_TRUE(absl::IsInternal(Stop([] { return absl::UnknownError("?"); })));
}

TEST_F(RpcDecoratorTest, LongMessagesAreCutAtACharacter) {
  std::string umlauts;
  for (int i = 0; i < 5000; ++i) umlauts += "\xC3\xBC";
  const absl::Status status =
      Stop([&] { return absl::InternalError("x" + umlauts); });
  EXPECT_LE(status.message().size(), 2051u);
  EXPECT_GE(status.message().size(), 2049u);
  const std::string cut(
      status.message().substr(0, status.message().size() - 3));
  EXPECT_EQ(cut.size() % 2, 1u);  // x, and whole characters of two bytes
  EXPECT_THAT(std::string(status.message()), testing::StartsWith("x"));
  EXPECT_THAT(std::string(status.message()), testing::EndsWith("..."));
}

TEST_F(RpcDecoratorTest, LogsOneLineWithIdsAndDuration) {
  const std::string log = Logged([this] {
    (void)Stop([this] {
      clock_.Advance(std::chrono::microseconds(1500));
      return absl::OkStatus();
    });
  });
  EXPECT_THAT(log, HasSubstr("rpc method=StopContainer container=c0ffee "
                             "ms=1.500 code=OK\n"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
}

TEST_F(RpcDecoratorTest, TheAnswersIdIsLogged) {
  api::RunPodSandboxResponse response;
  const std::string log = Logged([&] {
    (void)decorator_.Serve("RunPodSandbox", PodRequest(), response, [&] {
      response.set_pod_sandbox_id("abc123");
      return absl::OkStatus();
    });
  });
  EXPECT_THAT(log, HasSubstr("pod=abc123 namespace=shop name=web-0"));
}

TEST_F(RpcDecoratorTest, SecretsAreNotLogged) {
  api::PullImageRequest pull;
  pull.mutable_image()->set_image("registry.test/a:1");
  pull.mutable_auth()->set_username("hunter1");
  pull.mutable_auth()->set_password("hunter2");
  pull.mutable_auth()->set_registry_token("hunter3");
  const std::string log = Logged([&] {
    (void)decorator_.Serve("PullImage", pull, api::PullImageResponse(), [] {
      return absl::PermissionDeniedError("registry says no");
    });
    (void)decorator_.Serve("CreateContainer", ContainerRequest(),
                           api::CreateContainerResponse(),
                           [] { return absl::OkStatus(); });
  });
  EXPECT_THAT(log, HasSubstr("image=registry.test/a:1"));
  EXPECT_THAT(log, Not(HasSubstr("hunter")));
  EXPECT_THAT(log, Not(HasSubstr("s3cret")));
}

TEST_F(RpcDecoratorTest, ReadingIsQuietAndForgedLinesAreEscaped) {
  const std::string quiet = Logged([this] {
    (void)decorator_.Serve("Status", api::StatusRequest(),
                           api::StatusResponse(),
                           [] { return absl::OkStatus(); });
    (void)decorator_.Serve("ContainerStatus", api::ContainerStatusRequest(),
                           api::ContainerStatusResponse(),
                           [] { return absl::NotFoundError("no"); });
  });
  EXPECT_EQ(quiet, "");
  const std::string forged = Logged([this] {
    api::StopContainerRequest request;
    request.set_container_id("a\nrpc method=StopContainer code=OK" +
                             std::string(100000, 'x'));
    (void)decorator_.Serve("StopContainer", request,
                           api::StopContainerResponse(),
                           [] { return absl::InvalidArgumentError("bad"); });
  });
  EXPECT_EQ(std::count(forged.begin(), forged.end(), '\n'), 1);
  EXPECT_LT(forged.size(), 1000u);
}

TEST_F(RpcDecoratorTest, InternalErrorsOfReadersAreLogged) {
  const std::string log = Logged([this] {
    (void)decorator_.Serve("Status", api::StatusRequest(),
                           api::StatusResponse(),
                           [] { return absl::InternalError("a bug"); });
  });
  EXPECT_THAT(log, HasSubstr("error=\"a bug\""));
}

TEST_F(RpcDecoratorTest, KnowsEveryMethodOfTheThreeServices) {
  std::vector<std::string> names;
  for (const char* service :
       {"runtime.v1.RuntimeService", "runtime.v1.ImageService"}) {
    const auto* descriptor =
        api::VersionRequest::descriptor()->file()->pool()->FindServiceByName(
            service);
    ASSERT_NE(descriptor, nullptr);
    for (int i = 0; i < descriptor->method_count(); ++i) {
      names.push_back(descriptor->method(i)->name());
    }
  }
  EXPECT_EQ(names.size(), 41u);
  names.insert(names.end(),
               {"ImportImage", "PodTimeline", "Cpus", "PodNetwork"});
  for (const std::string& name : names) {
    int calls = 0;
    EXPECT_TRUE(decorator_
                    .Serve(name, api::VersionRequest(), api::VersionResponse(),
                           [&calls] {
                             ++calls;
                             return absl::OkStatus();
                           })
                    .ok())
        << name;
    EXPECT_EQ(calls, 1);
  }
}

}  // namespace
}  // namespace pinion::cri
