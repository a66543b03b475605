// What plugins answer: results of ADD, and errors.
//
// Thread-safe.

#ifndef PINION_NETWORK_CNI_RESULT_H_
#define PINION_NETWORK_CNI_RESULT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "network/pod_network.h"

namespace pinion::network::cni {

// The pod's addresses in an ADD's result: those of the interface `name` inside
// a namespace, or those that belong to no interface in particular; the first
// one is the pod's main address. InvalidArgument if the result is malformed
// or has none: a pod without an address answers no probe.
absl::StatusOr<PodAddresses> AddressesOf(const Json& result,
                                         const std::string& name);

// The status a failed plugin stands for: what it wrote to its standard output
// (an error object of the specification) and, if that is none, to its standard
// error. Unavailable for "try again later" (11), else Internal.
absl::Status ErrorOf(std::string_view output, std::string_view log, int code);

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_RESULT_H_
