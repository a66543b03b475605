// absl::Status as gRPC's: both have the same codes with the same numbers.
//
// For the adapters only. Thread-safe.

#ifndef PINION_CRI_GRPC_STATUS_H_
#define PINION_CRI_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace pinion::cri {

inline grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      std::string(status.message()));
}

}  // namespace pinion::cri

#endif  // PINION_CRI_GRPC_STATUS_H_
