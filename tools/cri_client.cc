#include "tools/cri_client.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"

namespace pinion::tools {
namespace {

constexpr int kLargestMessage = 64 << 20;

// "/runtime.v1.RuntimeService/Version"; empty if there is none.
std::string MethodOf(const google::protobuf::Descriptor& request) {
  const google::protobuf::FileDescriptor& file = *request.file();
  for (int i = 0; i < file.service_count(); ++i) {
    const auto& service = *file.service(i);
    for (int j = 0; j < service.method_count(); ++j) {
      if (service.method(j)->input_type() == &request) {
        return absl::StrCat("/", service.full_name(), "/",
                            service.method(j)->name());
      }
    }
  }
  return "";
}

std::shared_ptr<grpc::Channel> Connect(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  arguments.SetMaxSendMessageSize(kLargestMessage);
  // A daemon that comes back is found at once, not after a back-off.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  // Despite its name: how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("unix:", socket_path),
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

class CriClient::Impl {
 public:
  explicit Impl(const std::string& socket_path)
      : channel(Connect(socket_path)), stub(channel) {}

  std::shared_ptr<grpc::Channel> channel;
  grpc::GenericStub stub;
};

CriClient::CriClient(const std::string& socket_path)
    : impl_(std::make_unique<Impl>(socket_path)) {}

CriClient::~CriClient() = default;

absl::Status CriClient::Call(const google::protobuf::Message& request,
                             google::protobuf::Message* response,
                             std::chrono::milliseconds timeout) const {
  const std::string method = MethodOf(*request.GetDescriptor());
  if (method.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no RPC takes a ", request.GetTypeName()));
  }
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  const grpc::Slice slice(request.SerializeAsString());
  const grpc::ByteBuffer out(&slice, 1);
  grpc::CompletionQueue queue;
  const auto call = impl_->stub.PrepareUnaryCall(&context, method, out, &queue);
  call->StartCall();
  grpc::ByteBuffer in;
  grpc::Status status;
  call->Finish(&in, &status, &in);
  void* tag = nullptr;
  bool ok = false;
  if (!queue.Next(&tag, &ok) || !ok) {
    return absl::InternalError("the call's completion was lost");
  }
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        status.error_message());
  }
  grpc::Slice answer;
  if (!in.DumpToSingleSlice(&answer).ok() ||
      !response->ParseFromArray(answer.begin(),
                                static_cast<int>(answer.size()))) {
    return absl::InternalError(
        absl::StrCat("the answer is no ", response->GetTypeName()));
  }
  return absl::OkStatus();
}

absl::Status CriClient::AwaitReady(std::chrono::milliseconds timeout) const {
  if (impl_->channel->WaitForConnected(std::chrono::system_clock::now() +
                                       timeout)) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError("nobody serves the socket");
}

}  // namespace pinion::tools
