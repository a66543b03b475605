// Every RPC that is not there yet says so with a sentence, and says it for
// every method of the contract that is not tested elsewhere.

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include <set>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

const std::set<std::string>& Implemented() {
  static const auto* const kNames =
      new std::set<std::string>{"Version",
                                "Status",
                                "RuntimeConfig",
                                "UpdateRuntimeConfig",
                                "RunPodSandbox",
                                "StopPodSandbox",
                                "RemovePodSandbox",
                                "PodSandboxStatus",
                                "ListPodSandbox",
                                "CreateContainer",
                                "StartContainer",
                                "StopContainer",
                                "RemoveContainer",
                                "ListContainers",
                                "ContainerStatus",
                                "ExecSync",
                                "Exec",
                                "Attach",
                                "PortForward",
                                "ReopenContainerLog",
                                "ContainerStats",
                                "ListContainerStats",
                                "PodSandboxStats",
                                "ListPodSandboxStats",
                                "ListMetricDescriptors",
                                "ListPodSandboxMetrics",
                                "UpdateContainerResources",
                                "UpdatePodSandboxResources",
                                "GetContainerEvents",
                                "StreamPodSandboxes",
                                "StreamContainers",
                                "StreamContainerStats",
                                "StreamPodSandboxStats",
                                "StreamPodSandboxMetrics",
                                "StreamImages",
                                "PullImage",
                                "ListImages",
                                "ImageStatus",
                                "RemoveImage",
                                "ImageFsInfo"};
  return *kNames;
}

class NotImplementedTest : public ServedTest {
 protected:
  // Calls `method` with an empty request, whatever its type.
  grpc::Status CallByName(const std::string& method) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    // The stream of events never ends by itself.
    const bool endless = method.find("/GetContainerEvents") != method.npos;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(endless ? 1 : 30));
    grpc::CompletionQueue queue;
    const grpc::Slice empty;
    const grpc::ByteBuffer request(&empty, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    return status;
  }
};

TEST_F(NotImplementedTest, EveryOtherMethodAnswersWithASentence) {
  int unimplemented = 0;
  int implemented = 0;
  for (const std::string service :
       {"runtime.v1.RuntimeService", "runtime.v1.ImageService"}) {
    const auto* descriptor =
        api::VersionRequest::descriptor()->file()->pool()->FindServiceByName(
            service);
    for (int i = 0; i < descriptor->method_count(); ++i) {
      const std::string name = descriptor->method(i)->name();
      SCOPED_TRACE(name);
      const grpc::Status status = CallByName("/" + service + "/" + name);
      if (Implemented().count(name) != 0) {
        ++implemented;
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
      } else {
        ++unimplemented;
        EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
        EXPECT_EQ(status.error_message(),
                  name + " is not implemented by this version of pinion");
      }
    }
  }
  EXPECT_EQ(implemented, 40);
  EXPECT_EQ(unimplemented, 1);
  // They are counted like any other call.
  EXPECT_THAT(metrics_->Render(),
              testing::HasSubstr(
                  "pinion_cri_rpc_errors_total{code="
                  "\"UNIMPLEMENTED\",method=\"CheckpointContainer\"} 1"));
}

}  // namespace
}  // namespace pinion::cri
