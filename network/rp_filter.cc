#include "network/rp_filter.h"

#include <linux/netconf.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>

#include "base/status_macros.h"

namespace pinion::network {
namespace {

using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;

// The setting that a message tells, of this device or of all.
std::optional<uint32_t> Parse(const NetlinkMessage& message, int index) {
  const auto* header = message.header<netconfmsg>();
  if (message.type() != RTM_NEWNETCONF || header == nullptr ||
      header->ncm_family != AF_INET) {
    return std::nullopt;
  }
  const auto attributes = message.Attributes(sizeof(*header));
  const auto of = static_cast<int>(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, NETCONFA_IFINDEX)));
  const auto value = NetlinkMessage::Find(attributes, NETCONFA_RP_FILTER);
  if (value.empty() || (of != index && of != NETCONFA_IFINDEX_ALL)) {
    return std::nullopt;
  }
  return NetlinkMessage::U32(value);
}

}  // namespace

absl::StatusOr<uint32_t> GetRpFilter(NetlinkSocket& socket, int index) {
  NetlinkBatch batch;
  batch.Begin(RTM_GETNETCONF, NLM_F_DUMP, netconfmsg{.ncm_family = AF_INET},
              "list network settings");
  uint32_t result = kNoRpFilter;
  PINION_RETURN_IF_ERROR(
      socket.Query(batch, [&](const NetlinkMessage& message) {
        result = std::max(result, Parse(message, index).value_or(kNoRpFilter));
      }));
  return result;
}

bool IsRpFilterChange(const NetlinkMessage& message, int index) {
  return Parse(message, index).has_value();
}

}  // namespace pinion::network
