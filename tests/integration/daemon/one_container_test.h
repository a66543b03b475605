// For tests that ask what one container gets of what was asked for.

#ifndef PINION_TESTS_INTEGRATION_DAEMON_ONE_CONTAINER_TEST_H_
#define PINION_TESTS_INTEGRATION_DAEMON_ONE_CONTAINER_TEST_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/daemon_bed.h"

namespace pinion::testing {

using Lines = std::vector<std::string>;

class OneContainerTest : public ::testing::Test {
 protected:
  using ContainerChange = std::function<void(runtime::v1::ContainerConfig&)>;
  using PodChange = std::function<void(runtime::v1::PodSandboxConfig&)>;

  // Runs `script` in a container of its own; what it wrote.
  Lines Output(const std::string& script, const ContainerChange& change = {},
               const PodChange& change_pod = {}) {
    const std::string name = "f" + std::to_string(serial_++);
    auto pod_config = bed_.PodConfig(name);
    if (change_pod) change_pod(pod_config);
    const std::string pod = bed_.RunPod(pod_config);
    auto config = bed_.ContainerConfig("app", {"sh", "-c", script});
    if (change) change(config);
    const std::string id = bed_.RunContainer(pod, pod_config, config);
    if (id.empty()) return {};
    last_ = bed_.AwaitExit(id);
    EXPECT_EQ(last_.exit_code(), 0) << last_.message();
    return bed_.LogLines(name, "app");
  }

  // What CreateContainer says to such a container in a pod of its own.
  absl::Status Creation(const ContainerChange& change) {
    const std::string name = "f" + std::to_string(serial_++);
    runtime::v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(bed_.RunPod(bed_.PodConfig(name)));
    *request.mutable_config() = bed_.ContainerConfig("app", {"sleep", "1000"});
    change(*request.mutable_config());
    runtime::v1::CreateContainerResponse response;
    return bed_.client().Call(request, &response);
  }

  static runtime::v1::LinuxContainerSecurityContext* Security(
      runtime::v1::ContainerConfig& config) {
    return config.mutable_linux()->mutable_security_context();
  }

  DaemonBed bed_;
  int serial_ = 0;
  runtime::v1::ContainerStatus last_;  // of the last Output
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_INTEGRATION_DAEMON_ONE_CONTAINER_TEST_H_
