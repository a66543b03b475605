#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;
using ::testing::HasSubstr;

class SandboxRpcsTest : public ServedTest {
 protected:
  grpc::Status Stop(const std::string& id) {
    api::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    api::StopPodSandboxResponse response;
    return Call(*rpc_, &Stub::StopPodSandbox, request, &response);
  }
  grpc::Status Remove(const std::string& id) {
    api::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    api::RemovePodSandboxResponse response;
    return Call(*rpc_, &Stub::RemovePodSandbox, request, &response);
  }
  grpc::Status Status(const std::string& id,
                      api::PodSandboxStatusResponse* response,
                      bool verbose = false) {
    api::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id);
    request.set_verbose(verbose);
    return Call(*rpc_, &Stub::PodSandboxStatus, request, response);
  }
  api::ListPodSandboxResponse List(const api::PodSandboxFilter& filter = {}) {
    api::ListPodSandboxRequest request;
    *request.mutable_filter() = filter;
    api::ListPodSandboxResponse response;
    EXPECT_TRUE(Call(*rpc_, &Stub::ListPodSandbox, request, &response).ok());
    return response;
  }
};

TEST_F(SandboxRpcsTest, LifeOfAPod) {
  const std::string id = RunPod();
  EXPECT_EQ(id.size(), 64u);
  // The same identity joins.
  EXPECT_EQ(RunPod(), id);

  api::PodSandboxStatusResponse status;
  ASSERT_TRUE(Status(id, &status).ok());
  EXPECT_EQ(status.status().state(), api::SANDBOX_READY);
  EXPECT_EQ(status.status().network().ip(), "10.88.0.2");
  EXPECT_GT(status.timestamp(), 0);
  EXPECT_EQ(status.info_size(), 0);

  ASSERT_TRUE(Stop(id).ok());
  ASSERT_TRUE(Stop(id).ok());
  ASSERT_TRUE(Status(id, &status).ok());
  EXPECT_EQ(status.status().state(), api::SANDBOX_NOTREADY);
  EXPECT_EQ(status.status().network().ip(), "");

  ASSERT_TRUE(Remove(id).ok());
  ASSERT_TRUE(Remove(id).ok());
  EXPECT_EQ(Status(id, &status).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(List().items_size(), 0);
}

TEST_F(SandboxRpcsTest, UnknownIdsSucceedWhereTheCriSaysSo) {
  for (const std::string& id :
       {std::string(64, 'e'), std::string("e"), std::string("no-such-pod")}) {
    EXPECT_TRUE(Stop(id).ok()) << id;
    EXPECT_TRUE(Remove(id).ok()) << id;
    api::PodSandboxStatusResponse response;
    EXPECT_EQ(Status(id, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(SandboxRpcsTest, IdsThatCouldHarmAreRefused) {
  for (const std::string& id :
       {std::string(), std::string("../../etc"), std::string("a/b"),
        std::string(".."), std::string(300, 'a'), std::string("a\nb")}) {
    api::PodSandboxStatusResponse response;
    for (const grpc::Status& status :
         {Stop(id), Remove(id), Status(id, &response)}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << id;
      EXPECT_THAT(status.error_message(), HasSubstr("pod_sandbox_id"));
    }
  }
}

TEST_F(SandboxRpcsTest, AnUnambiguousPrefixIsEnough) {
  state::PodRecord pod;
  pod.set_state(state::POD_READY);
  pod.set_id("aa1" + std::string(61, '0'));
  runtime_.PutPod(pod);
  pod.set_id("aa2" + std::string(61, '0'));
  runtime_.PutPod(pod);
  api::PodSandboxStatusResponse response;
  ASSERT_TRUE(Status("aa1", &response).ok());
  EXPECT_EQ(response.status().id(), "aa1" + std::string(61, '0'));
  // Ambiguous: an error, so that nobody believes that it was stopped.
  EXPECT_EQ(Status("aa", &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Stop("aa").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(Stop("aa2").ok());
  ASSERT_TRUE(Status("aa2", &response).ok());
  EXPECT_EQ(response.status().state(), api::SANDBOX_NOTREADY);
}

TEST_F(SandboxRpcsTest, ErrorsOfTheRuntimeKeepCodeAndMessage) {
  runtime_.hooks.run_pod = [] {
    return absl::ResourceExhaustedError("no free address in 10.88.0.0/24");
  };
  api::RunPodSandboxResponse response;
  const grpc::Status status =
      Call(*rpc_, &Stub::RunPodSandbox, PodRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "no free address in 10.88.0.0/24");
}

TEST_F(SandboxRpcsTest, UnknownHandlerAndBadFieldsAreRefused) {
  api::RunPodSandboxRequest request = PodRequest();
  request.set_runtime_handler("slow");
  api::RunPodSandboxResponse response;
  EXPECT_EQ(Call(*rpc_, &Stub::RunPodSandbox, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request = PodRequest();
  request.mutable_config()->set_hostname("-");
  const grpc::Status status =
      Call(*rpc_, &Stub::RunPodSandbox, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("config.hostname \"-\""));
  EXPECT_EQ(List().items_size(), 0);
}

TEST_F(SandboxRpcsTest, StatusHasTheContainersOfThisPodOnly) {
  const std::string pod = RunPod("a");
  const std::string container = Create(pod);
  Create(RunPod("b"));
  ASSERT_TRUE(Start(container).ok());
  api::PodSandboxStatusResponse response;
  ASSERT_TRUE(Status(pod, &response).ok());
  ASSERT_EQ(response.containers_statuses_size(), 1);
  EXPECT_EQ(response.containers_statuses(0).id(), container);
  EXPECT_EQ(response.containers_statuses(0).state(), api::CONTAINER_RUNNING);
}

TEST_F(SandboxRpcsTest, VerboseInfoIsJson) {
  const std::string pod = RunPod();
  api::PodSandboxStatusResponse response;
  ASSERT_TRUE(Status(pod, &response, /*verbose=*/true).ok());
  const auto info = nlohmann::json::parse(response.info().at("info"));
  EXPECT_EQ(info["netns"], "/proc/4711/fd/5");
  EXPECT_EQ(info["pid"], 4711);
  EXPECT_EQ(info["cgroup"], "/pinion/" + pod);
  EXPECT_EQ(info["phases"][0]["name"], "network");
}

TEST_F(SandboxRpcsTest, ListFilters) {
  const std::string a = RunPod("a");
  const std::string b = RunPod("b");
  ASSERT_TRUE(Stop(b).ok());
  EXPECT_EQ(List().items_size(), 2);
  api::PodSandboxFilter filter;
  filter.mutable_state()->set_state(api::SANDBOX_READY);
  ASSERT_EQ(List(filter).items_size(), 1);
  EXPECT_EQ(List(filter).items(0).id(), a);
  filter.set_id(b.substr(0, 20));
  EXPECT_EQ(List(filter).items_size(), 0);
  filter.clear_state();
  ASSERT_EQ(List(filter).items_size(), 1);
  EXPECT_EQ(List(filter).items(0).id(), b);
}

TEST_F(SandboxRpcsTest, APodInTheMakingIsNotListed) {
  state::PodRecord pod;
  pod.set_id(std::string(64, 'd'));
  pod.set_state(state::POD_CREATING);
  runtime_.PutPod(pod);
  EXPECT_EQ(List().items_size(), 0);
  api::PodSandboxStatusResponse response;
  EXPECT_EQ(Status(pod.id(), &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace pinion::cri
