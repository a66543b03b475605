// ImageService on gRPC's sync API: hands each call to ImageRpcs.

#include <grpcpp/grpcpp.h>

#include "base/status_macros.h"
#include "cri/grpc_services.h"
#include "cri/grpc_status.h"
#include "cri/grpc_stream_list.h"
#include "cri/image_service_images.h"
#include "runtime/v1/api.grpc.pb.h"

#define PINION_RPC(method)                                             \
  grpc::Status method(grpc::ServerContext*,                            \
                      const api::method##Request* request,             \
                      api::method##Response* response) override {      \
    return ToGrpc(decorator_.Serve(#method, *request, *response, [&] { \
      return images_.method(*request, response);                       \
    }));                                                               \
  }

namespace pinion::cri {
namespace {

class GrpcImageService final : public api::ImageService::Service {
 public:
  GrpcImageService(const Dependencies& dependencies, RpcDecorator& decorator)
      : decorator_(decorator),
        images_(dependencies.images, dependencies.runtime, dependencies.clock) {
  }

  PINION_RPC(ListImages)
  PINION_RPC(ImageStatus)
  PINION_RPC(PullImage)
  PINION_RPC(RemoveImage)
  PINION_RPC(ImageFsInfo)

  grpc::Status StreamImages(
      grpc::ServerContext*, const api::StreamImagesRequest* request,
      grpc::ServerWriter<api::StreamImagesResponse>* writer) override {
    return ToGrpc(decorator_.Serve(
        "StreamImages", *request, api::StreamImagesResponse(),
        [&]() -> absl::Status {
          api::ListImagesRequest list;
          *list.mutable_filter() = request->filter();
          api::ListImagesResponse all;
          PINION_RETURN_IF_ERROR(images_.ListImages(list, &all));
          return StreamItems(all.mutable_images(),
                             &api::StreamImagesResponse::mutable_images,
                             writer);
        }));
  }

 private:
  RpcDecorator& decorator_;
  ImageRpcs images_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewImageService(const Dependencies& dependencies,
                                               RpcDecorator& decorator) {
  return std::make_unique<GrpcImageService>(dependencies, decorator);
}

}  // namespace pinion::cri
