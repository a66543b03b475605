#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::RuntimeService::Stub;

using StatusRpcsTest = ServedTest;

TEST_F(StatusRpcsTest, Version) {
  api::VersionResponse response;
  ASSERT_TRUE(
      Call(*rpc_, &Stub::Version, api::VersionRequest(), &response).ok());
  EXPECT_EQ(response.version(), "0.1.0");
  EXPECT_EQ(response.runtime_name(), "pinion");
  EXPECT_EQ(response.runtime_version(), "1.2.3");
  EXPECT_EQ(response.runtime_api_version(), "v1");
}

TEST_F(StatusRpcsTest, ConditionsHandlersAndFeatures) {
  network_.readiness = {false, "NoPodCidr", "waiting for the node's range"};
  api::StatusResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::Status, api::StatusRequest(), &response).ok());
  ASSERT_EQ(response.status().conditions_size(), 2);
  EXPECT_EQ(response.status().conditions(0).type(), "RuntimeReady");
  EXPECT_TRUE(response.status().conditions(0).status());
  EXPECT_EQ(response.status().conditions(1).type(), "NetworkReady");
  EXPECT_FALSE(response.status().conditions(1).status());
  EXPECT_EQ(response.status().conditions(1).reason(), "NoPodCidr");
  EXPECT_EQ(response.status().conditions(1).message(),
            "waiting for the node's range");
  ASSERT_EQ(response.runtime_handlers_size(), 2);
  EXPECT_EQ(response.runtime_handlers(0).name(), "");
  EXPECT_EQ(response.runtime_handlers(1).name(), "fast");
  EXPECT_TRUE(
      response.runtime_handlers(0).features().recursive_read_only_mounts());
  EXPECT_FALSE(response.runtime_handlers(0).features().user_namespaces());
  EXPECT_TRUE(response.features().supplemental_groups_policy());
  EXPECT_FALSE(response.features().user_namespaces_host_network());
  EXPECT_EQ(response.info_size(), 0);
}

TEST_F(StatusRpcsTest, VerboseInfoIsJson) {
  api::StatusRequest request;
  request.set_verbose(true);
  api::StatusResponse response;
  ASSERT_TRUE(Call(*rpc_, &Stub::Status, request, &response).ok());
  const auto at = [&response](const std::string& key) {
    return nlohmann::json::parse(response.info().at(key));
  };
  EXPECT_EQ(at("config")["root"], "/r");
  EXPECT_EQ(at("version")["runtimeVersion"], "1.2.3");
  EXPECT_EQ(at("network")["ready"], true);
  EXPECT_EQ(at("cgroup")["driver"], "systemd");
  EXPECT_EQ(at("apparmor")["enabled"], false);
}

TEST_F(StatusRpcsTest, RuntimeConfigNamesTheDriver) {
  api::RuntimeConfigResponse response;
  ASSERT_TRUE(
      Call(*rpc_, &Stub::RuntimeConfig, api::RuntimeConfigRequest(), &response)
          .ok());
  EXPECT_EQ(response.linux().cgroup_driver(), api::SYSTEMD);

  server_.reset();
  dependencies_.cgroup_driver = cgroup::DriverKind::kCgroupfs;
  server_ = std::move(Server::Create(options_, dependencies_).value());
  Connect();
  ASSERT_TRUE(
      Call(*rpc_, &Stub::RuntimeConfig, api::RuntimeConfigRequest(), &response)
          .ok());
  EXPECT_EQ(response.linux().cgroup_driver(), api::CGROUPFS);
}

TEST_F(StatusRpcsTest, UpdateRuntimeConfigSetsThePodCidr) {
  api::UpdateRuntimeConfigRequest request;
  api::UpdateRuntimeConfigResponse response;
  const auto update = [&] {
    return Call(*rpc_, &Stub::UpdateRuntimeConfig, request, &response);
  };
  ASSERT_TRUE(update().ok());
  EXPECT_EQ(network_.pod_cidr(), "");
  auto* network = request.mutable_runtime_config()->mutable_network_config();
  network->set_pod_cidr("10.88.3.0/24,fd00:3::/64");
  ASSERT_TRUE(update().ok());
  EXPECT_EQ(network_.pod_cidr(), "10.88.3.0/24,fd00:3::/64");
  network->set_pod_cidr(std::string(300, '1'));
  EXPECT_EQ(update().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  network_.cidr_status = absl::FailedPreconditionError("addresses in use");
  network->set_pod_cidr("10.89.0.0/24");
  EXPECT_EQ(update().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace pinion::cri
