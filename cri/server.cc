#include "cri/server.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>

#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/grpc_services.h"
#include "cri/message_limit.h"
#include "os/socket_file.h"

namespace pinion::cri {
namespace {

// Threads that wait for calls on an idle daemon. One more is made whenever
// the last one takes a call; after a burst all but kMaxPollers end.
constexpr int kMinPollers = 1;
constexpr int kMaxPollers = 4;
// For handlers to end after their calls were cancelled.
constexpr std::chrono::milliseconds kCancelGrace(250);

// What gRPC has to say (errors only, unless GRPC_VERBOSITY asks for more).
void LogForGrpc(gpr_log_func_args* args) {
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR
                             ? LogLevel::kWarning
                             : LogLevel::kDebug;
  Log(level, "grpc", {{"message", args->message}});
}

// Once per process: gRPC's log goes into ours, and the library stays set up.
// Its shutdown with the last object would wait up to 10 s for a thread of its
// own (backup poller, gRPC 1.51).
void SetUpGrpc() {
  static const bool done = [] {
    gpr_set_log_function(LogForGrpc);
    grpc_init();
    return true;
  }();
  (void)done;
}

// gRPC takes a URI and decodes what is percent-encoded in it.
std::string SocketUri(const std::string& path) {
  std::string uri = "unix:";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '/' || c == '.' ||
                       c == '-' || c == '_';
    if (plain) {
      uri.push_back(c);
    } else {
      absl::StrAppend(
          &uri, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return uri;
}

std::unique_ptr<grpc::Server> StartGrpc(
    const Options& options,
    const std::vector<std::unique_ptr<grpc::Service>>& services) {
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(SocketUri(os::StagingName(options.socket_path)),
                           grpc::InsecureServerCredentials(), &bound);
  for (const auto& service : services) builder.RegisterService(service.get());
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);

  using Sync = grpc::ServerBuilder::SyncServerOption;
  builder.SetSyncServerOption(Sync::NUM_CQS, 1);
  builder.SetSyncServerOption(Sync::MIN_POLLERS, kMinPollers);
  builder.SetSyncServerOption(Sync::MAX_POLLERS, kMaxPollers);
  grpc::ResourceQuota quota("pinion-cri");
  quota.SetMaxThreads(options.max_threads + kMaxPollers);
  builder.SetResourceQuota(quota);

  // On a local socket these only cost memory and time.
  builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE,
                             0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // The kubelet and crictl ping an idle connection; that is no abuse here.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  return builder.BuildAndStart();
}

}  // namespace

class Server::Impl {
 public:
  Impl(const Options& options, const Dependencies& dependencies)
      : options_(options),
        decorator_(*dependencies.metrics, *dependencies.clock) {
    services_.push_back(NewRuntimeService(options, dependencies, decorator_));
    services_.push_back(NewImageService(dependencies, decorator_));
    services_.push_back(NewAdminService(dependencies, decorator_));
  }

  ~Impl() {
    (void)Shutdown(std::chrono::milliseconds(0));
    if (shutdown_thread_.joinable()) shutdown_thread_.join();
  }

  absl::Status Start() {
    SetUpGrpc();
    PINION_RETURN_IF_ERROR(os::CheckNobodyServes(options_.socket_path));
    server_ = StartGrpc(options_, services_);
    if (server_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options_.socket_path));
    }
    return os::PublishSocket(options_.socket_path, options_.socket_group);
  }

  absl::Status Shutdown(std::chrono::milliseconds grace)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (server_ == nullptr) return absl::OkStatus();
    {
      const absl::MutexLock lock(&mutex_);
      if (!shutdown_thread_.joinable()) {
        PINION_RETURN_IF_ERROR(os::RemoveSocket(options_.socket_path));
        // With a deadline of its own gRPC would wait out the grace for any
        // client that is merely connected. After it the calls are cancelled,
        // but their handlers are waited for without end: not on the caller's
        // thread.
        shutdown_thread_ = std::thread([this, grace] {
          (void)decorator_.AwaitIdle(grace);
          server_->Shutdown(std::chrono::system_clock::now());
          drained_.Open();
        });
      }
    }
    const auto deadline =
        std::chrono::steady_clock::now() + grace + kCancelGrace;
    if (drained_.WaitUntil(deadline)) return absl::OkStatus();
    return absl::DeadlineExceededError("calls are still under way");
  }

 private:
  const Options options_;
  RpcDecorator decorator_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::thread shutdown_thread_ ABSL_GUARDED_BY(mutex_);
  Gate drained_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Create(
    const Options& options, const Dependencies& dependencies) {
  PINION_RETURN_IF_ERROR(os::CheckSocketPath(options.socket_path));
  auto impl = std::make_unique<Impl>(options, dependencies);
  PINION_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

absl::Status Server::Shutdown(std::chrono::milliseconds grace) {
  return impl_->Shutdown(grace);
}

}  // namespace pinion::cri
