#include "network/mac.h"

namespace pinion::network {

MacAddress MacFor(const ipam::IpAddress& address) {
  const std::array<uint8_t, 16> bytes = address.Bytes();
  if (address.is_v4()) {
    return {0x6e, 0x70, bytes[0], bytes[1], bytes[2], bytes[3]};
  }
  uint64_t hash = 0;
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  // The finalizer of splitmix64: every bit in changes half of the bits out.
  // Without it, addresses that differ in their last bytes only collide.
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return {0x6a,
          static_cast<uint8_t>(hash >> 32),
          static_cast<uint8_t>(hash >> 24),
          static_cast<uint8_t>(hash >> 16),
          static_cast<uint8_t>(hash >> 8),
          static_cast<uint8_t>(hash)};
}

ipam::IpAddress LinkLocalFor(const MacAddress& mac) {
  const uint8_t bytes[16] = {0xfe,   0x80,   0,
                             0,      0,      0,
                             0,      0,      static_cast<uint8_t>(mac[0] ^ 2),
                             mac[1], mac[2], 0xff,
                             0xfe,   mac[3], mac[4],
                             mac[5]};
  return *ipam::IpAddress::FromBytes(bytes, sizeof(bytes));
}

}  // namespace pinion::network
