#include "network/tracked_flows.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/nf_tables.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkMessage;

// Bits of CTA_FILTER_…_FLAGS (Linux 5.8, net/netfilter/nf_conntrack_netlink.c;
// no header has them). The kernel sends less with them; what it sends is
// looked at again.
constexpr uint32_t kFilterSource = 1 << 0;
constexpr uint32_t kFilterProtocol = 1 << 3;

struct Tuple {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  bool IsReplyOf(const Tuple& other) const {
    return source == other.destination && destination == other.source &&
           source_port == other.destination_port &&
           destination_port == other.source_port;
  }
};

// As the kernel sent it, to name the flow by.
struct Flow {
  Tuple original;
  Tuple reply;
  std::vector<char> original_bytes;
  std::vector<char> zone;
};

uint16_t Port(std::span<const char> content) {
  uint16_t value = 0;
  if (content.size() >= sizeof(value)) {
    std::memcpy(&value, content.data(), sizeof(value));
  }
  return ntohs(value);
}

std::optional<Tuple> ParseTuple(std::span<const char> bytes) {
  const auto ip = NetlinkMessage::Find(bytes, CTA_TUPLE_IP);
  const auto proto = NetlinkMessage::Find(bytes, CTA_TUPLE_PROTO);
  auto source = NetlinkMessage::Find(ip, CTA_IP_V4_SRC);
  auto destination = NetlinkMessage::Find(ip, CTA_IP_V4_DST);
  if (source.empty()) {
    source = NetlinkMessage::Find(ip, CTA_IP_V6_SRC);
    destination = NetlinkMessage::Find(ip, CTA_IP_V6_DST);
  }
  const auto from = IpAddress::FromBytes(source.data(), source.size());
  const auto to = IpAddress::FromBytes(destination.data(), destination.size());
  const auto number = NetlinkMessage::Find(proto, CTA_PROTO_NUM);
  if (!from || !to || number.empty()) return std::nullopt;
  Tuple tuple;
  tuple.source = *from;
  tuple.destination = *to;
  tuple.protocol = static_cast<uint8_t>(number[0]);
  tuple.source_port = Port(NetlinkMessage::Find(proto, CTA_PROTO_SRC_PORT));
  tuple.destination_port =
      Port(NetlinkMessage::Find(proto, CTA_PROTO_DST_PORT));
  return tuple;
}

std::optional<Flow> ParseFlow(const NetlinkMessage& message) {
  const auto attributes = message.Attributes(sizeof(nfgenmsg));
  const auto original = NetlinkMessage::Find(attributes, CTA_TUPLE_ORIG);
  const auto tuple = ParseTuple(original);
  const auto reply =
      ParseTuple(NetlinkMessage::Find(attributes, CTA_TUPLE_REPLY));
  if (!tuple || !reply) return std::nullopt;
  const auto zone = NetlinkMessage::Find(attributes, CTA_ZONE);
  return Flow{*tuple,
              *reply,
              {original.begin(), original.end()},
              {zone.begin(), zone.end()}};
}

void Begin(NetlinkBatch& batch, int type, uint16_t flags, Family family,
           std::string what) {
  nfgenmsg header{};
  header.nfgen_family = nft::NfFamily(family);
  header.version = NFNETLINK_V0;
  batch.Begin(static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type), flags,
              header, std::move(what));
}

// `query`: a dump. Ends those of UDP that `wanted` says.
absl::Status EndFlows(os::NetlinkSocket& netfilter, Family family,
                      NetlinkBatch& query,
                      const std::function<bool(const Flow&)>& wanted) {
  std::vector<Flow> flows;
  PINION_RETURN_IF_ERROR(
      netfilter.Query(query, [&](const NetlinkMessage& message) {
        std::optional<Flow> flow = ParseFlow(message);
        if (flow && flow->original.protocol == IPPROTO_UDP && wanted(*flow)) {
          flows.push_back(*std::move(flow));
        }
      }));
  absl::Status result;
  for (const Flow& flow : flows) {
    NetlinkBatch batch;
    Begin(batch, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family,
          absl::StrCat("end the flow from ", flow.original.source.ToString()));
    batch.Add(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.original_bytes.data(),
              flow.original_bytes.size());
    if (!flow.zone.empty()) {
      batch.Add(CTA_ZONE, flow.zone.data(), flow.zone.size());
    }
    const absl::Status ended = netfilter.Transact(batch);
    // It may have ended by itself.
    if (os::NetlinkErrno(ended) != ENOENT) result.Update(ended);
  }
  return result;
}

}  // namespace

absl::Status EndFlowsTo(os::NetlinkSocket& netfilter, const IpAddress& pod) {
  const Family family = pod.family();
  NetlinkBatch query;
  Begin(query, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family,
        absl::StrCat("list the flows to ", pod.ToString()));
  nft::Nest(query, CTA_TUPLE_REPLY, [&] {
    nft::Nest(query, CTA_TUPLE_IP, [&] {
      const auto bytes = pod.Bytes();
      query.Add(pod.is_v4() ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, bytes.data(),
                pod.byte_count());
    });
  });
  nft::Nest(query, CTA_FILTER, [&] {
    query.AddU32(CTA_FILTER_ORIG_FLAGS, 0);
    query.AddU32(CTA_FILTER_REPLY_FLAGS, kFilterSource);
  });
  return EndFlows(netfilter, family, query, [&pod](const Flow& flow) {
    return flow.reply.source == pod && flow.original.destination != pod;
  });
}

absl::Status EndUntranslatedFlows(os::NetlinkSocket& netfilter, Family family,
                                  const std::set<uint16_t>& ports) {
  NetlinkBatch query;
  Begin(query, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family,
        "list the flows to host ports");
  nft::Nest(query, CTA_TUPLE_ORIG, [&] {
    nft::Nest(query, CTA_TUPLE_PROTO,
              [&] { query.AddU8(CTA_PROTO_NUM, IPPROTO_UDP); });
  });
  nft::Nest(query, CTA_FILTER, [&] {
    query.AddU32(CTA_FILTER_ORIG_FLAGS, kFilterProtocol);
    query.AddU32(CTA_FILTER_REPLY_FLAGS, 0);
  });
  return EndFlows(netfilter, family, query, [&ports](const Flow& flow) {
    return ports.count(flow.original.destination_port) != 0 &&
           flow.reply.IsReplyOf(flow.original);
  });
}

}  // namespace pinion::network
