#include "network/ruleset_watch.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/socket_filter.h"

namespace pinion::network {
namespace {

using os::NetlinkMessage;
using os::NetlinkSocket;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLeastPause(100);
constexpr milliseconds kMostPause(5'000);
constexpr milliseconds kQuiet(10'000);

// Where all messages but a generation's name the table.
constexpr uint16_t kTableName = NFTA_TABLE_NAME;
static_assert(kTableName == NFTA_CHAIN_TABLE && kTableName == NFTA_RULE_TABLE &&
              kTableName == NFTA_SET_TABLE &&
              kTableName == NFTA_SET_ELEM_LIST_TABLE &&
              kTableName == NFTA_OBJ_TABLE &&
              kTableName == NFTA_FLOWTABLE_TABLE);

absl::StatusOr<uint32_t> PortOf(const NetlinkSocket& socket) {
  sockaddr_nl address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) !=
      0) {
    return os::ErrnoStatus("getsockname of AF_NETLINK");
  }
  return address.nl_pid;
}

// A datagram has messages of one transaction only, so its first one tells for
// all. Loads are in network order (linux/filter.h), the number is not.
absl::Status LeaveOut(const NetlinkSocket& events, uint32_t port) {
  const std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(port), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  }};
  return Annotate(os::AttachFilter(events.fd(), filter),
                  "listen to changes of nf_tables");
}

// As nft(8) writes it.
std::string Text(const RulesetWatch::Table& table) {
  const char* family = "ip";
  if (table.first == NFPROTO_IPV6) family = "ip6";
  if (table.first == NFPROTO_BRIDGE) family = "bridge";
  return absl::StrCat(family, " ", table.second);
}

std::string Text(const std::set<RulesetWatch::Table>& tables) {
  std::vector<std::string> texts;
  for (const RulesetWatch::Table& table : tables) texts.push_back(Text(table));
  return absl::StrJoin(texts, ", ");
}

}  // namespace

absl::StatusOr<std::unique_ptr<RulesetWatch>> RulesetWatch::Create(
    const NetlinkSocket& writer, std::set<Table> tables, int queue_bytes) {
  PINION_ASSIGN_OR_RETURN(
      NetlinkSocket events,
      NetlinkSocket::OpenNetfilter(1 << (NFNLGRP_NFTABLES - 1)));
  os::EnlargeQueue(events.fd(), queue_bytes);
  PINION_ASSIGN_OR_RETURN(const uint32_t port, PortOf(writer));
  PINION_RETURN_IF_ERROR(LeaveOut(events, port));
  return std::unique_ptr<RulesetWatch>(
      new RulesetWatch(std::move(events), std::move(tables)));
}

absl::Status RulesetWatch::Start(os::Reactor* reactor,
                                 std::function<void()> write_again) {
  reactor_ = reactor;
  write_again_ = std::move(write_again);
  return reactor->Add(events_.fd(), EPOLLIN, [this](uint32_t) { OnEvents(); });
}

void RulesetWatch::OnEvents() {
  const absl::Status status = events_.Receive(
      [this](const NetlinkMessage& message) { OnMessage(message); });
  // Whatever was changed may have been among them.
  lost_ |= !status.ok();
  if (answering_ || (changed_.empty() && !lost_)) return;
  answering_ = true;
  reactor_->After(
      std::max(steady_clock::duration(0), next_ - steady_clock::now()),
      [this] { Answer(); });
}

void RulesetWatch::OnMessage(const NetlinkMessage& message) {
  const auto* header = message.header<nfgenmsg>();
  if (header == nullptr || message.type() >> 8 != NFNL_SUBSYS_NFTABLES) return;
  const auto attributes = message.Attributes(sizeof(nfgenmsg));
  if ((message.type() & 0xff) != NFT_MSG_NEWGEN) {
    const Table table(
        header->nfgen_family,
        NetlinkMessage::String(NetlinkMessage::Find(attributes, kTableName)));
    if (tables_.count(table) != 0) touched_.insert(table);
    return;
  }
  if (touched_.empty()) return;
  program_ = NetlinkMessage::String(
      NetlinkMessage::Find(attributes, NFTA_GEN_PROC_NAME));
  pid_ = ntohl(
      NetlinkMessage::U32(NetlinkMessage::Find(attributes, NFTA_GEN_PROC_PID)));
  changed_.merge(touched_);
  touched_.clear();
}

void RulesetWatch::Answer() {
  answering_ = false;
  const auto now = steady_clock::now();
  pause_ = now > next_ + kQuiet
               ? kLeastPause
               : std::clamp(2 * pause_, kLeastPause, kMostPause);
  next_ = now + pause_;
  if (!changed_.empty()) {
    Log(LogLevel::kWarning,
        "another program has changed pinion's nf_tables; they are written "
        "again",
        {{"tables", Text(changed_)}, {"program", program_}, {"pid", pid_}});
  } else {
    Log(LogLevel::kWarning,
        "changes of nf_tables went by unseen; pinion's are written again");
  }
  changed_.clear();
  touched_.clear();
  lost_ = false;
  write_again_();
}

}  // namespace pinion::network
