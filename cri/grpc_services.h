// The three gRPC services, each a thin adapter in a translation unit of its
// own. With server.cc and the other grpc_ files they are the only ones that
// see gRPC's headers (tests/unit/layers). What an RPC does is in the …Rpcs
// classes.
//
// The services are thread-safe; they keep pointers to what Dependencies names
// and to `decorator`.

#ifndef PINION_CRI_GRPC_SERVICES_H_
#define PINION_CRI_GRPC_SERVICES_H_

#include <memory>

#include "cri/rpc_decorator.h"
#include "cri/server.h"

namespace grpc {
class Service;
}

namespace pinion::cri {

std::unique_ptr<grpc::Service> NewRuntimeService(
    const Options& options, const Dependencies& dependencies,
    RpcDecorator& decorator);
std::unique_ptr<grpc::Service> NewImageService(const Dependencies& dependencies,
                                               RpcDecorator& decorator);
std::unique_ptr<grpc::Service> NewAdminService(const Dependencies& dependencies,
                                               RpcDecorator& decorator);

}  // namespace pinion::cri

#endif  // PINION_CRI_GRPC_SERVICES_H_
