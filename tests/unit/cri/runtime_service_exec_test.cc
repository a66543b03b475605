#include "cri/runtime_service_exec.h"

#include <gmock/gmock.h>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;
using ::testing::HasSubstr;

class ExecRpcsTest : public ServedTest {
 protected:
  grpc::Status Exec(const api::ExecSyncRequest& request,
                    api::ExecSyncResponse* response) {
    return Call(*rpc_, &Stub::ExecSync, request, response);
  }
  api::ExecSyncRequest Request() {
    const std::string id = Create(RunPod());
    EXPECT_TRUE(Start(id).ok());
    api::ExecSyncRequest request;
    request.set_container_id(id);
    request.add_cmd("true");
    request.set_timeout(5);
    return request;
  }
};

TEST_F(ExecRpcsTest, HandsOutputAndCodeBack) {
  runtime_.hooks.exec =
      [](const std::string&, const std::vector<std::string>& command,
         std::chrono::seconds timeout) -> absl::StatusOr<runtime::ExecResult> {
    EXPECT_EQ(command, std::vector<std::string>{"true"});
    EXPECT_EQ(timeout.count(), 5);
    return runtime::ExecResult{"out\xFF", "err", 7};
  };
  api::ExecSyncResponse response;
  ASSERT_TRUE(Exec(Request(), &response).ok());
  EXPECT_EQ(response.stdout(), "out\xFF");
  EXPECT_EQ(response.stderr(), "err");
  EXPECT_EQ(response.exit_code(), 7);
}

TEST_F(ExecRpcsTest, TimeOutIsDeadlineExceeded) {
  runtime_.hooks.exec =
      [](const std::string&, const std::vector<std::string>&,
         std::chrono::seconds) -> absl::StatusOr<runtime::ExecResult> {
    return absl::DeadlineExceededError("killed after 5 s");
  };
  api::ExecSyncResponse response;
  const grpc::Status status = Exec(Request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "killed after 5 s");
}

TEST_F(ExecRpcsTest, RefusesWhatMakesNoSense) {
  api::ExecSyncResponse response;
  api::ExecSyncRequest request = Request();
  request.clear_cmd();
  grpc::Status status = Exec(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("cmd: must not be empty"));
  request.add_cmd(std::string("a\0b", 3));
  EXPECT_EQ(Exec(request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_cmd(0, "");
  status = Exec(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("cmd[0]: must not be empty"));
  request.set_cmd(0, "true");
  request.set_timeout(-1);
  status = Exec(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("timeout -1"));
  request.set_timeout(0);
  request.set_container_id("a/b");
  EXPECT_EQ(Exec(request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_container_id(std::string(64, 'e'));
  EXPECT_EQ(Exec(request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ExecRpcsTest, OutputOf16MbPerStreamStillReachesTheKubelet) {
  constexpr size_t k16Mb = 16'000'000;
  runtime_.hooks.exec =
      [](const std::string&, const std::vector<std::string>&,
         std::chrono::seconds) -> absl::StatusOr<runtime::ExecResult> {
    return runtime::ExecResult{std::string(k16Mb, 'o'), std::string(k16Mb, 'e'),
                               0};
  };
  // The kubelet's client takes 16 MiB.
  api::ExecSyncResponse response;
  const grpc::Status status = Exec(Request(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(response.stdout().size(), 8'000'000u);
  EXPECT_GT(response.stderr().size(), 8'000'000u);

  runtime_.hooks.exec =
      [](const std::string&, const std::vector<std::string>&,
         std::chrono::seconds) -> absl::StatusOr<runtime::ExecResult> {
    return runtime::ExecResult{std::string(k16Mb, 'o'), "short", 0};
  };
  ASSERT_TRUE(Exec(Request(), &response).ok());
  EXPECT_EQ(response.stdout().size(), k16Mb);
  EXPECT_EQ(response.stderr(), "short");
}

TEST_F(ExecRpcsTest, ReopenContainerLog) {
  api::ReopenContainerLogRequest request;
  request.set_container_id(Request().container_id());
  api::ReopenContainerLogResponse response;
  EXPECT_TRUE(Call(*rpc_, &Stub::ReopenContainerLog, request, &response).ok());
  ASSERT_TRUE(runtime_.StopContainer(request.container_id(), {}).ok());
  EXPECT_EQ(
      Call(*rpc_, &Stub::ReopenContainerLog, request, &response).error_code(),
      grpc::StatusCode::FAILED_PRECONDITION);
  request.set_container_id("");
  EXPECT_EQ(
      Call(*rpc_, &Stub::ReopenContainerLog, request, &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(FitTogetherTest, CutsTheLongerFirst) {
  struct Case {
    size_t a, b, fitted_a, fitted_b;
  };
  for (const Case& c : std::vector<Case>{{3, 4, 3, 4},
                                         {10, 0, 10, 0},
                                         {11, 0, 10, 0},
                                         {2, 100, 2, 8},
                                         {100, 2, 8, 2},
                                         {100, 100, 5, 5},
                                         {6, 100, 5, 5}}) {
    std::string a(c.a, 'a');
    std::string b(c.b, 'b');
    FitTogether(10, &a, &b);
    EXPECT_EQ(a.size(), c.fitted_a);
    EXPECT_EQ(b.size(), c.fitted_b);
  }
}

}  // namespace
}  // namespace pinion::cri
