// RuntimeService on gRPC's sync API: hands each call to its group of RPCs.

#include <grpcpp/grpcpp.h>

#include "cri/grpc_services.h"
#include "cri/grpc_status.h"
#include "cri/not_implemented.h"
#include "cri/runtime_service_container.h"
#include "cri/runtime_service_exec.h"
#include "cri/runtime_service_sandbox.h"
#include "cri/runtime_service_stats.h"
#include "cri/runtime_service_status.h"
#include "cri/runtime_service_streaming.h"
#include "runtime/v1/api.grpc.pb.h"

// A unary RPC that `group` answers.
#define PINION_RPC(group, method)                                      \
  grpc::Status method(grpc::ServerContext*,                            \
                      const api::method##Request* request,             \
                      api::method##Response* response) override {      \
    return ToGrpc(decorator_.Serve(#method, *request, *response, [&] { \
      return group.method(*request, response);                         \
    }));                                                               \
  }

// A unary RPC that is not there yet.
#define PINION_LATER_RPC(method)                                             \
  grpc::Status method(grpc::ServerContext*,                                  \
                      const api::method##Request* request,                   \
                      api::method##Response* response) override {            \
    return ToGrpc(decorator_.Serve(#method, *request, *response,             \
                                   [] { return NotImplemented(#method); })); \
  }

// The same for one that streams its answers.
#define PINION_LATER_STREAM(method, Request, Response)                       \
  grpc::Status method(grpc::ServerContext*, const api::Request* request,     \
                      grpc::ServerWriter<api::Response>*) override {         \
    return ToGrpc(decorator_.Serve(#method, *request, api::Response(),       \
                                   [] { return NotImplemented(#method); })); \
  }

namespace pinion::cri {
namespace {

class GrpcRuntimeService final : public api::RuntimeService::Service {
 public:
  GrpcRuntimeService(const Options& options, const Dependencies& dependencies,
                     RpcDecorator& decorator)
      : decorator_(decorator),
        sandbox_(dependencies.runtime, dependencies.clock),
        container_(dependencies.runtime),
        exec_(dependencies.runtime),
        stats_(dependencies.runtime),
        status_(options, dependencies),
        streaming_(dependencies.runtime, dependencies.streaming) {}

  PINION_RPC(sandbox_, RunPodSandbox)
  PINION_RPC(sandbox_, StopPodSandbox)
  PINION_RPC(sandbox_, RemovePodSandbox)
  PINION_RPC(sandbox_, PodSandboxStatus)
  PINION_RPC(sandbox_, ListPodSandbox)

  PINION_RPC(container_, CreateContainer)
  PINION_RPC(container_, StartContainer)
  PINION_RPC(container_, StopContainer)
  PINION_RPC(container_, RemoveContainer)
  PINION_RPC(container_, ListContainers)
  PINION_RPC(container_, ContainerStatus)

  PINION_RPC(exec_, ExecSync)
  PINION_RPC(exec_, ReopenContainerLog)

  PINION_RPC(status_, Version)
  PINION_RPC(status_, Status)
  PINION_RPC(status_, RuntimeConfig)
  PINION_RPC(status_, UpdateRuntimeConfig)

  PINION_RPC(streaming_, Exec)
  PINION_RPC(streaming_, Attach)
  PINION_RPC(streaming_, PortForward)

  PINION_RPC(stats_, ContainerStats)
  PINION_RPC(stats_, ListContainerStats)
  PINION_RPC(stats_, PodSandboxStats)
  PINION_RPC(stats_, ListPodSandboxStats)
  PINION_RPC(stats_, ListMetricDescriptors)
  PINION_RPC(stats_, ListPodSandboxMetrics)

  PINION_LATER_RPC(UpdateContainerResources)
  PINION_LATER_RPC(CheckpointContainer)
  PINION_LATER_RPC(UpdatePodSandboxResources)

  PINION_LATER_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest,
                      StreamPodSandboxesResponse)
  PINION_LATER_STREAM(StreamContainers, StreamContainersRequest,
                      StreamContainersResponse)
  PINION_LATER_STREAM(StreamContainerStats, StreamContainerStatsRequest,
                      StreamContainerStatsResponse)
  PINION_LATER_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest,
                      StreamPodSandboxStatsResponse)
  PINION_LATER_STREAM(GetContainerEvents, GetEventsRequest,
                      ContainerEventResponse)
  PINION_LATER_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest,
                      StreamPodSandboxMetricsResponse)

 private:
  RpcDecorator& decorator_;
  SandboxRpcs sandbox_;
  ContainerRpcs container_;
  ExecRpcs exec_;
  StatsRpcs stats_;
  StatusRpcs status_;
  StreamingRpcs streaming_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewRuntimeService(
    const Options& options, const Dependencies& dependencies,
    RpcDecorator& decorator) {
  return std::make_unique<GrpcRuntimeService>(options, dependencies, decorator);
}

}  // namespace pinion::cri
