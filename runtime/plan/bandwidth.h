// The bandwidth annotations of Kubernetes:
// kubernetes.io/ingress-bandwidth and kubernetes.io/egress-bandwidth.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_BANDWIDTH_H_
#define PINION_RUNTIME_PLAN_BANDWIDTH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace pinion::plan {

// Bits per second; 0: no limit.
struct Bandwidth {
  uint64_t ingress = 0;
  uint64_t egress = 0;
};

// A number of bits with a suffix of Kubernetes' quantities: "10M", "512Ki",
// "1.5G". InvalidArgument for anything else, and outside 1k to 1P, as in
// kubernetes/pkg/util/bandwidth.
absl::StatusOr<uint64_t> ParseBandwidth(const std::string& text);

// The two annotations' values; empty: there is none. InvalidArgument names the
// one that is wrong.
absl::StatusOr<Bandwidth> ParseBandwidths(const std::string& ingress,
                                          const std::string& egress);

inline constexpr char kIngressBandwidth[] = "kubernetes.io/ingress-bandwidth";
inline constexpr char kEgressBandwidth[] = "kubernetes.io/egress-bandwidth";

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_BANDWIDTH_H_
