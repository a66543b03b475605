#include "cri/runtime_service_streaming.h"

#include <gmock/gmock.h>

#include "cri/streaming/server.h"
#include "cri/streaming_backend.h"
#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class StreamingRpcsTest : public ServedTest {
 protected:
  void SetUp() override {
    streaming::Dependencies dependencies;
    dependencies.backend = &backend_;
    dependencies.metrics = metrics_.get();
    auto server = streaming::Server::Start({}, dependencies);
    ASSERT_TRUE(server.ok()) << server.status();
    streaming_ = *std::move(server);
    dependencies_.streaming = streaming_.get();
    ServedTest::SetUp();
  }

  api::ExecRequest ExecRequest() {
    const std::string id = Create(RunPod());
    EXPECT_TRUE(Start(id).ok());
    api::ExecRequest request;
    request.set_container_id(id);
    request.add_cmd("true");
    request.set_stdout(true);
    return request;
  }

  grpc::Status Exec(const api::ExecRequest& request) {
    api::ExecResponse response;
    return Call(*rpc_, &Stub::Exec, request, &response);
  }

  RuntimeBackend backend_{&runtime_};
  std::unique_ptr<streaming::Server> streaming_;
};

TEST_F(StreamingRpcsTest, ExecAnswersWithAUrl) {
  api::ExecResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::Exec, ExecRequest(), &response).ok());
  EXPECT_THAT(response.url(),
              MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/exec/[0-9a-f]+"));
}

TEST_F(StreamingRpcsTest, ExecRefusesWhatMakesNoSense) {
  api::ExecRequest request = ExecRequest();
  request.set_stdout(false);
  grpc::Status status = Exec(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("at least one"));
  request.set_stderr(true);
  request.set_tty(true);
  status = Exec(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("stderr: must be false"));
  request.set_tty(false);
  EXPECT_TRUE(Exec(request).ok());
  request.clear_cmd();
  EXPECT_EQ(Exec(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.add_cmd(std::string("a\0b", 3));
  EXPECT_EQ(Exec(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_cmd(0, "true");
  request.set_container_id(std::string(64, 'e'));
  EXPECT_EQ(Exec(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(StreamingRpcsTest, OnlyWhatRunsIsEntered) {
  api::ExecRequest exec;
  exec.set_container_id(Create(RunPod()));
  exec.add_cmd("true");
  exec.set_stdout(true);
  EXPECT_EQ(Exec(exec).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  api::AttachRequest attach;
  attach.set_container_id(exec.container_id());
  attach.set_stdout(true);
  api::AttachResponse response;
  EXPECT_EQ(Call(*rpc_, &Stub::Attach, attach, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(Start(exec.container_id()).ok());
  ASSERT_TRUE(Call(*rpc_, &Stub::Attach, attach, &response).ok());
  EXPECT_THAT(response.url(), HasSubstr("/attach/"));
  // A terminal that the container has not.
  attach.set_tty(true);
  EXPECT_EQ(Call(*rpc_, &Stub::Attach, attach, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(StreamingRpcsTest, PortsAreForwardedIntoReadyPods) {
  api::PortForwardRequest request;
  api::PortForwardResponse response;
  request.set_pod_sandbox_id(RunPod());
  ASSERT_TRUE(Call(*rpc_, &Stub::PortForward, request, &response).ok());
  EXPECT_THAT(response.url(), HasSubstr("/portforward/"));
  for (const int bad : {0, -1, 65536}) {
    request.clear_port();
    request.add_port(bad);
    EXPECT_EQ(Call(*rpc_, &Stub::PortForward, request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << bad;
  }
  request.clear_port();
  ASSERT_TRUE(runtime_.StopPod(request.pod_sandbox_id()).ok());
  EXPECT_EQ(Call(*rpc_, &Stub::PortForward, request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace pinion::cri
