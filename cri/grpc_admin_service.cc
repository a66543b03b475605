// AdminService on gRPC's sync API: hands each call to AdminRpcs.

#include <grpcpp/grpcpp.h>

#include "admin.grpc.pb.h"
#include "cri/admin_service.h"
#include "cri/grpc_services.h"
#include "cri/grpc_status.h"

namespace pinion::cri {
namespace {

class GrpcAdminService final : public admin::v1::AdminService::Service {
 public:
  GrpcAdminService(const Dependencies& dependencies, RpcDecorator& decorator)
      : decorator_(decorator),
        admin_(dependencies.images, dependencies.runtime) {}

  grpc::Status ImportImage(grpc::ServerContext*,
                           const admin::v1::ImportImageRequest* request,
                           admin::v1::ImportImageResponse* response) override {
    return ToGrpc(decorator_.Serve("ImportImage", *request, *response, [&] {
      return admin_.ImportImage(*request, response);
    }));
  }

  grpc::Status PodTimeline(grpc::ServerContext*,
                           const admin::v1::PodTimelineRequest* request,
                           admin::v1::PodTimelineResponse* response) override {
    return ToGrpc(decorator_.Serve("PodTimeline", *request, *response, [&] {
      return admin_.PodTimeline(*request, response);
    }));
  }

  grpc::Status PodUsage(grpc::ServerContext*,
                        const admin::v1::PodUsageRequest* request,
                        admin::v1::PodUsageResponse* response) override {
    return ToGrpc(decorator_.Serve("PodUsage", *request, *response, [&] {
      return admin_.PodUsage(*request, response);
    }));
  }

  grpc::Status Cpus(grpc::ServerContext*, const admin::v1::CpusRequest* request,
                    admin::v1::CpusResponse* response) override {
    return ToGrpc(decorator_.Serve("Cpus", *request, *response, [&] {
      return admin_.Cpus(*request, response);
    }));
  }

  grpc::Status PodNetwork(grpc::ServerContext*,
                          const admin::v1::PodNetworkRequest* request,
                          admin::v1::PodNetworkResponse* response) override {
    return ToGrpc(decorator_.Serve("PodNetwork", *request, *response, [&] {
      return admin_.PodNetwork(*request, response);
    }));
  }

 private:
  RpcDecorator& decorator_;
  AdminRpcs admin_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewAdminService(const Dependencies& dependencies,
                                               RpcDecorator& decorator) {
  return std::make_unique<GrpcAdminService>(dependencies, decorator);
}

}  // namespace pinion::cri
