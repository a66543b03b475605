#include <gtest/gtest.h>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class CheckpointTest : public ServedTest {
 protected:
  grpc::Status Checkpoint(const std::string& id, const std::string& location,
                          int64_t timeout = 0) {
    api::CheckpointContainerRequest request;
    request.set_container_id(id);
    request.set_location(location);
    request.set_timeout(timeout);
    api::CheckpointContainerResponse response;
    return Call(*rpc_, &api::RuntimeService::Stub::CheckpointContainer, request,
                &response);
  }
};

TEST_F(CheckpointTest, TheRuntimeIsToldWhereAndHowLong) {
  std::string seen;
  runtime_.hooks.checkpoint = [&seen](const std::string& id,
                                      const std::string& location,
                                      std::chrono::seconds timeout) {
    seen = id + " " + location + " " + std::to_string(timeout.count());
    return absl::OkStatus();
  };
  const std::string id = Create(RunPod());
  // A prefix is as good as the id.
  const grpc::Status status = Checkpoint(id.substr(0, 12), "/tmp/a.tar", 7);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(seen, id + " /tmp/a.tar 7");
}

TEST_F(CheckpointTest, ALocationMustBeTheAbsolutePathOfAFile) {
  const std::string id = Create(RunPod());
  for (const char* location : {"", "a.tar", "/tmp/", "/tmp/../etc/a"}) {
    SCOPED_TRACE(location);
    const grpc::Status status = Checkpoint(id, location);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message().find("location "), 0U)
        << status.error_message();
  }
  EXPECT_EQ(Checkpoint(id, "/tmp/a.tar", -1).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CheckpointTest, AMissingContainerIsNotFound) {
  EXPECT_EQ(Checkpoint(std::string(64, '0'), "/tmp/a.tar").error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(CheckpointTest, WithoutCriuItIsUnimplemented) {
  EXPECT_EQ(Checkpoint(Create(RunPod()), "/tmp/a.tar").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace pinion::cri
