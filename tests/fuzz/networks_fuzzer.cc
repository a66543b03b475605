// The annotation that asks for further interfaces: whatever stands in it, what
// is accepted has names and addresses, and is bounded.

#include <cstdint>
#include <string>

#include "runtime/network_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto requests = pinion::runtime::ParseNetworks(text);
  if (!requests.ok()) {
    if (!absl::IsInvalidArgument(requests.status())) __builtin_trap();
    return 0;
  }
  if (requests->size() > pinion::runtime::kMaxNetworks) __builtin_trap();
  for (const pinion::network::SecondaryRequest& one : *requests) {
    if (one.network.empty() || one.interface_name.empty()) __builtin_trap();
    for (const std::string& address : one.addresses) {
      if (address.empty()) __builtin_trap();
    }
  }
  return 0;
}
