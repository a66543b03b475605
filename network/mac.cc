#include "network/mac.h"

namespace pinion::network {

MacAddress MacFor(const ipam::IpAddress& address) {
  const std::array<uint8_t, 16> bytes = address.Bytes();
  if (address.is_v4()) {
    return {0x6e, 0x70, bytes[0], bytes[1], bytes[2], bytes[3]};
  }
  // FNV-1a; pods' addresses mostly differ in their last bytes only, which it
  // spreads over all bits it keeps.
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  hash ^= hash >> 40;
  return {0x6a,
          static_cast<uint8_t>(hash >> 32),
          static_cast<uint8_t>(hash >> 24),
          static_cast<uint8_t>(hash >> 16),
          static_cast<uint8_t>(hash >> 8),
          static_cast<uint8_t>(hash)};
}

}  // namespace pinion::network
