#include "daemon/self_check.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "runtime/v1/api.grpc.pb.h"

namespace pinion::daemon {
namespace {

constexpr std::chrono::seconds kPatience{5};

}  // namespace

std::function<bool()> NewSelfCheck(const std::string& socket_path) {
  const std::shared_ptr<::runtime::v1::RuntimeService::Stub> stub =
      ::runtime::v1::RuntimeService::NewStub(
          grpc::CreateChannel(absl::StrCat("unix:", socket_path),
                              grpc::InsecureChannelCredentials()));
  return [stub] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    ::runtime::v1::VersionResponse response;
    return stub->Version(&context, ::runtime::v1::VersionRequest(), &response)
        .ok();
  };
}

}  // namespace pinion::daemon
