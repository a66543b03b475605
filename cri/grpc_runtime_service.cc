// RuntimeService on gRPC: hands each call to its group of RPCs.

#include <grpcpp/grpcpp.h>

#include "base/status_macros.h"
#include "cri/grpc_event_stream.h"
#include "cri/grpc_services.h"
#include "cri/grpc_status.h"
#include "cri/grpc_stream_list.h"
#include "cri/runtime_service_checkpoint.h"
#include "cri/runtime_service_container.h"
#include "cri/runtime_service_exec.h"
#include "cri/runtime_service_sandbox.h"
#include "cri/runtime_service_stats.h"
#include "cri/runtime_service_status.h"
#include "cri/runtime_service_streaming.h"
#include "cri/runtime_service_update.h"
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

// A list that comes as a stream: what `group` answers to List, item by item.
#define PINION_STREAM(group, method, List, listed, items)                      \
  grpc::Status method(                                                         \
      grpc::ServerContext*, const api::method##Request* request,               \
      grpc::ServerWriter<api::method##Response>* writer) override {            \
    return ToGrpc(decorator_.Serve(                                            \
        #method, *request, api::method##Response(), [&]() -> absl::Status {    \
          api::List##Response all;                                             \
          PINION_RETURN_IF_ERROR(                                              \
              group.List(WithFilter<api::List##Request>(*request), &all));     \
          return StreamItems(all.mutable_##listed(),                           \
                             &api::method##Response::mutable_##items, writer); \
        }));                                                                   \
  }

namespace pinion::cri {
namespace {

// The request of a list with the filter of a stream's, if that has one.
template <typename ListRequest, typename StreamRequest>
ListRequest WithFilter(const StreamRequest& request) {
  ListRequest list;
  if constexpr (requires { request.filter(); }) {
    *list.mutable_filter() = request.filter();
  }
  return list;
}

// Events on the callback API, everything else on the sync one.
using Base = api::RuntimeService::WithCallbackMethod_GetContainerEvents<
    api::RuntimeService::Service>;

class GrpcRuntimeService final : public Base {
 public:
  GrpcRuntimeService(const Options& options, const Dependencies& dependencies,
                     RpcDecorator& decorator)
      : decorator_(decorator),
        runtime_(*dependencies.runtime),
        sandbox_(dependencies.runtime, dependencies.clock),
        container_(dependencies.runtime),
        exec_(dependencies.runtime),
        stats_(dependencies.runtime),
        update_(dependencies.runtime),
        checkpoint_(dependencies.runtime),
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

  PINION_RPC(update_, UpdateContainerResources)
  PINION_RPC(update_, UpdatePodSandboxResources)

  PINION_RPC(checkpoint_, CheckpointContainer)

  PINION_STREAM(sandbox_, StreamPodSandboxes, ListPodSandbox, items,
                pod_sandboxes)
  PINION_STREAM(container_, StreamContainers, ListContainers, containers,
                containers)
  PINION_STREAM(stats_, StreamContainerStats, ListContainerStats, stats,
                container_stats)
  PINION_STREAM(stats_, StreamPodSandboxStats, ListPodSandboxStats, stats,
                pod_sandbox_stats)
  PINION_STREAM(stats_, StreamPodSandboxMetrics, ListPodSandboxMetrics,
                pod_metrics, pod_sandbox_metrics)

  grpc::ServerWriteReactor<api::ContainerEventResponse>* GetContainerEvents(
      grpc::CallbackServerContext* context,
      const api::GetEventsRequest*) override {
    return NewEventStream(runtime_, decorator_, context);
  }

 private:
  RpcDecorator& decorator_;
  runtime::Runtime& runtime_;
  SandboxRpcs sandbox_;
  ContainerRpcs container_;
  ExecRpcs exec_;
  StatsRpcs stats_;
  UpdateRpcs update_;
  CheckpointRpcs checkpoint_;
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
