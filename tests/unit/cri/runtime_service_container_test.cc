#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;
using ::testing::HasSubstr;

class ContainerRpcsTest : public ServedTest {
 protected:
  grpc::Status Stop(const std::string& id, int64_t timeout = 1) {
    api::StopContainerRequest request;
    request.set_container_id(id);
    request.set_timeout(timeout);
    api::StopContainerResponse response;
    return Call(*rpc_, &Stub::StopContainer, request, &response);
  }
  grpc::Status Remove(const std::string& id) {
    api::RemoveContainerRequest request;
    request.set_container_id(id);
    api::RemoveContainerResponse response;
    return Call(*rpc_, &Stub::RemoveContainer, request, &response);
  }
  grpc::Status Status(const std::string& id,
                      api::ContainerStatusResponse* response,
                      bool verbose = false) {
    api::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(verbose);
    return Call(*rpc_, &Stub::ContainerStatus, request, response);
  }
  grpc::Status TryCreate(const api::CreateContainerRequest& request) {
    api::CreateContainerResponse response;
    return Call(*rpc_, &Stub::CreateContainer, request, &response);
  }
};

TEST_F(ContainerRpcsTest, LifeOfAContainer) {
  const std::string pod = RunPod();
  const std::string id = Create(pod);
  api::ContainerStatusResponse status;
  ASSERT_TRUE(Status(id, &status).ok());
  EXPECT_EQ(status.status().state(), api::CONTAINER_CREATED);
  EXPECT_EQ(status.status().log_path(),
            "/var/log/pods/shop_web-0_7b8b3a3e/server/2.log");

  ASSERT_TRUE(Start(id).ok());
  EXPECT_EQ(Start(id).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(Status(id, &status).ok());
  EXPECT_EQ(status.status().state(), api::CONTAINER_RUNNING);
  EXPECT_EQ(status.status().user().linux().uid(), 1000);

  ASSERT_TRUE(Stop(id).ok());
  ASSERT_TRUE(Stop(id).ok());
  ASSERT_TRUE(Status(id, &status).ok());
  EXPECT_EQ(status.status().state(), api::CONTAINER_EXITED);
  EXPECT_EQ(status.status().exit_code(), 137);
  EXPECT_EQ(status.status().reason(), "Error");

  ASSERT_TRUE(Remove(id).ok());
  ASSERT_TRUE(Remove(id).ok());
  EXPECT_EQ(Status(id, &status).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ContainerRpcsTest, UnknownIds) {
  for (const std::string& id :
       {std::string(64, 'e'), std::string("e"), std::string("nothing")}) {
    EXPECT_TRUE(Stop(id).ok()) << id;
    EXPECT_TRUE(Remove(id).ok()) << id;
    api::ContainerStatusResponse response;
    EXPECT_EQ(Status(id, &response).error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(Start(id).error_code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(ContainerRpcsTest, IdsThatCouldHarmAreRefused) {
  for (const std::string id : {"", "../x", "a/b", "."}) {
    api::ContainerStatusResponse response;
    for (const grpc::Status& status :
         {Stop(id), Remove(id), Start(id), Status(id, &response)}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << id;
      EXPECT_THAT(status.error_message(), HasSubstr("container_id"));
    }
  }
}

TEST_F(ContainerRpcsTest, CreateNeedsAReadyPod) {
  EXPECT_EQ(TryCreate(ContainerRequest(std::string(64, 'e'))).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(TryCreate(ContainerRequest("../x")).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  const std::string pod = RunPod();
  ASSERT_TRUE(runtime_.StopPod(pod).ok());
  EXPECT_EQ(TryCreate(ContainerRequest(pod)).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ContainerRpcsTest, PrivilegedNeedsAPrivilegedPod) {
  api::CreateContainerRequest request = ContainerRequest(RunPod());
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->set_privileged(true);
  const grpc::Status status = TryCreate(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("privileged"));
}

TEST_F(ContainerRpcsTest, StopHandsTheGraceOn) {
  const std::string id = Create(RunPod());
  std::chrono::seconds seen{-1};
  runtime_.hooks.stop_container = [&](const std::string&,
                                      std::chrono::seconds grace) {
    seen = grace;
    return absl::OkStatus();
  };
  ASSERT_TRUE(Stop(id, 0).ok());
  EXPECT_EQ(seen.count(), 0);
  ASSERT_TRUE(Stop(id, 30).ok());
  EXPECT_EQ(seen.count(), 30);
  // Kubernetes allows any int64; nothing may overflow on the way.
  ASSERT_TRUE(Stop(id, std::numeric_limits<int64_t>::max()).ok());
  EXPECT_EQ(seen.count(), int64_t{10} * 366 * 24 * 3600);
  EXPECT_EQ(Stop(id, -1).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ContainerRpcsTest, ListFilters) {
  const std::string pod_a = RunPod("a");
  const std::string a = Create(pod_a);
  const std::string b = Create(RunPod("b"));
  ASSERT_TRUE(Start(b).ok());
  const auto list = [this](const api::ContainerFilter& filter) {
    api::ListContainersRequest request;
    *request.mutable_filter() = filter;
    api::ListContainersResponse response;
    EXPECT_TRUE(Call(*rpc_, &Stub::ListContainers, request, &response).ok());
    std::vector<std::string> ids;
    for (const auto& c : response.containers()) ids.push_back(c.id());
    return ids;
  };
  api::ContainerFilter filter;
  EXPECT_THAT(list(filter), testing::UnorderedElementsAre(a, b));
  filter.set_pod_sandbox_id(pod_a);
  EXPECT_THAT(list(filter), testing::ElementsAre(a));
  filter.mutable_state()->set_state(api::CONTAINER_RUNNING);
  EXPECT_THAT(list(filter), testing::IsEmpty());
  filter.clear_pod_sandbox_id();
  EXPECT_THAT(list(filter), testing::ElementsAre(b));
  (*filter.mutable_label_selector())["x"] = "y";
  EXPECT_THAT(list(filter), testing::IsEmpty());
}

TEST_F(ContainerRpcsTest, VerboseInfoIsJsonWithoutTheEnvironment) {
  const std::string pod = RunPod();
  const std::string id = Create(pod);
  ASSERT_TRUE(Start(id).ok());
  api::ContainerStatusResponse response;
  ASSERT_TRUE(Status(id, &response, /*verbose=*/true).ok());
  const std::string& text = response.info().at("info");
  const auto info = nlohmann::json::parse(text);
  EXPECT_EQ(info["sandboxID"], pod);
  EXPECT_EQ(info["pid"], 4712);
  EXPECT_EQ(info["cgroup"], "/pinion/" + pod + "/" + id);
  EXPECT_EQ(info["argv"][0], "/bin/server");
  EXPECT_THAT(text, testing::Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace pinion::cri
