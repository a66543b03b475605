// Frames from a LAN, for the duplicate probe.

#include <cstdint>
#include <string>

#include "network/neighbour_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::network;  // NOLINT
  // A copy of its own size: reading past its end is seen.
  const std::string frame(reinterpret_cast<const char*>(data), size);
  const auto claim = ReadClaim(frame);
  if (!claim.has_value()) return 0;
  // What it was read from is that family's, and what it says can be said.
  const bool arp = data[12] == 0x08;
  if (claim->address.is_v4() != arp) __builtin_trap();
  const auto again = ReadClaim(AnnouncementFrame(claim->address, claim->mac));
  const bool nobody = arp && claim->address == pinion::ipam::IpAddress();
  if (!again.has_value() || again->mac != claim->mac ||
      (!nobody && again->address != claim->address)) {
    __builtin_trap();
  }
  return 0;
}
