// Addresses, prefixes and ranges as people and the kubelet write them: what
// is accepted prints as what parses again, and can be planned with.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "ipam/ip_range.h"
#include "network/addressing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto ranges = pinion::network::ParseRanges(text);
  if (!ranges.ok()) return 0;
  for (const pinion::ipam::IpRange& range : *ranges) {
    const auto again = pinion::ipam::IpRange::Parse(range.name());
    if (!again.ok() || again->first() != range.first() ||
        again->last() != range.last() || again->size() != range.size()) {
      abort();
    }
    const auto prefixes = pinion::network::RangePrefixes(range);
    if (prefixes.front().network() != range.first() ||
        prefixes.back().Last() != range.last()) {
      abort();
    }
  }
  pinion::network::Options options;
  options.exclude = {ranges->front().first().ToString()};
  const auto plans = pinion::network::PlanAddresses(options, *ranges, {});
  if (!plans.ok()) return 0;
  for (const pinion::network::FamilyPlan& plan : *plans) {
    if (!plan.range.FirstUsable() || plan.range.FirstUsable() == plan.node ||
        !plan.subnet.Contains(*plan.range.FirstUsable())) {
      abort();
    }
  }
  return 0;
}
