// Every method of the contract is there: with an empty request it answers, or
// refuses the request.

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <string>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class EveryMethodTest : public ServedTest {
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

TEST_F(EveryMethodTest, IsThere) {
  int methods = 0;
  for (const std::string service :
       {"runtime.v1.RuntimeService", "runtime.v1.ImageService"}) {
    const auto* descriptor =
        api::VersionRequest::descriptor()->file()->pool()->FindServiceByName(
            service);
    for (int i = 0; i < descriptor->method_count(); ++i, ++methods) {
      const std::string name = descriptor->method(i)->name();
      SCOPED_TRACE(name);
      EXPECT_NE(CallByName("/" + service + "/" + name).error_code(),
                grpc::StatusCode::UNIMPLEMENTED);
    }
  }
  EXPECT_EQ(methods, 41);
}

TEST_F(EveryMethodTest, ThatTheContractLacksIsUnimplementedByGrpc) {
  EXPECT_EQ(CallByName("/runtime.v1.RuntimeService/Nonsense").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace pinion::cri
