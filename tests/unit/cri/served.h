// A real server on a socket in a scratch directory, over fakes, and stubs of a
// real channel to it.

#ifndef PINION_TESTS_UNIT_CRI_SERVED_H_
#define PINION_TESTS_UNIT_CRI_SERVED_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <string>

#include "admin.grpc.pb.h"
#include "base/log.h"
#include "cri/server.h"
#include "metrics/metrics.h"
#include "os/file.h"
#include "runtime/v1/api.grpc.pb.h"
#include "tests/support/fake_image_service.h"
#include "tests/support/fake_pod_network.h"
#include "tests/support/fake_runtime.h"
#include "tests/unit/cri/requests.h"

namespace pinion::cri {

class ServedTest : public testing::Test {
 protected:
  void SetUp() override {
    SetLogLevel(LogLevel::kError);
    char name[] = "/tmp/pn-cri-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    options_.socket_path = dir_ + "/pinion.sock";
    options_.runtime_handlers = {"", "fast"};
    dependencies_.runtime = &runtime_;
    dependencies_.images = &images_;
    dependencies_.network = &network_;
    dependencies_.metrics = metrics_.get();
    dependencies_.version = "1.2.3";
    dependencies_.config_json = [] { return "{\"root\":\"/r\"}"; };
    runtime_.handlers = {"", "fast"};
    auto server = Server::Create(options_, dependencies_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    Connect();
  }

  void TearDown() override {
    server_.reset();
    EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
    SetLogLevel(LogLevel::kInfo);
  }

  // `max_message` as the kubelet's client has it.
  std::shared_ptr<grpc::Channel> NewChannel(int max_message = 16 << 20) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(max_message);
    arguments.SetMaxSendMessageSize(-1);
    // Otherwise channels with the same arguments share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("unix:" + options_.socket_path,
                                     grpc::InsecureChannelCredentials(),
                                     arguments);
  }

  void Connect() {
    channel_ = NewChannel();
    rpc_ = api::RuntimeService::NewStub(channel_);
    image_rpc_ = api::ImageService::NewStub(channel_);
    admin_rpc_ = admin::v1::AdminService::NewStub(channel_);
  }

  // Calls `(stub.*method)(context, request, response)` with a deadline.
  template <typename Stub, typename Base, typename Request, typename Response>
  grpc::Status Call(Stub& stub,
                    grpc::Status (Base::*method)(grpc::ClientContext*,
                                                 const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    return (stub.*method)(&context, request, response);
  }

  std::string RunPod(const std::string& name = "web-0") {
    api::RunPodSandboxResponse response;
    const grpc::Status status =
        Call(*rpc_, &api::RuntimeService::Stub::RunPodSandbox, PodRequest(name),
             &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.pod_sandbox_id();
  }

  std::string Create(const std::string& pod) {
    api::CreateContainerResponse response;
    const grpc::Status status =
        Call(*rpc_, &api::RuntimeService::Stub::CreateContainer,
             ContainerRequest(pod), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.container_id();
  }

  grpc::Status Start(const std::string& id) {
    api::StartContainerRequest request;
    request.set_container_id(id);
    api::StartContainerResponse response;
    return Call(*rpc_, &api::RuntimeService::Stub::StartContainer, request,
                &response);
  }

  std::string dir_;
  testing_support::FakeRuntime runtime_;
  testing_support::FakeImageService images_;
  testing_support::FakePodNetwork network_;
  std::unique_ptr<metrics::Registry> metrics_ = metrics::Registry::Create();
  Options options_;
  Dependencies dependencies_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<api::RuntimeService::Stub> rpc_;
  std::unique_ptr<api::ImageService::Stub> image_rpc_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_rpc_;
};

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_SERVED_H_
