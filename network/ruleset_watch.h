// Tells when somebody else changes the nf_tables that are pinion's: whoever
// reloads the node's firewall (Debian's nftables.conf begins with "flush
// ruleset") takes all tables away, its own and others'.
//
// The kernel tells of every transaction, with the port number of the netlink
// socket that it came by (NFNLGRP_NFTABLES; nf_tables_commit). Pinion's own
// are left out by a filter in the kernel, so that none of them is ever
// answered or fills the queue.
//
// Somebody who keeps changing them back is answered at growing intervals, from
// 0.1 to 5 s; after 10 s of quiet at once again.
//
// All but Create and Start runs on the reactor's thread.

#ifndef PINION_NETWORK_RULESET_WATCH_H_
#define PINION_NETWORK_RULESET_WATCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/netlink.h"
#include "os/reactor.h"

namespace pinion::network {

class RulesetWatch {
 public:
  // NFPROTO_…, name.
  using Table = std::pair<uint8_t, std::string>;

  // Room for a firewall of thousands of rules that is loaded at once; only what
  // waits to be read takes memory.
  static constexpr int kQueueBytes = 8 << 20;

  // Changes count from here on, in the calling thread's network namespace, but
  // for those that are made by `writer` while it is open.
  static absl::StatusOr<std::unique_ptr<RulesetWatch>> Create(
      const os::NetlinkSocket& writer, std::set<Table> tables,
      int queue_bytes = kQueueBytes);

  // Calls `write_again` on the reactor's thread when something was changed, or
  // when it is not known whether, and logs what and by whom. The reactor must
  // be destroyed before this object.
  absl::Status Start(os::Reactor* reactor, std::function<void()> write_again);

 private:
  RulesetWatch(os::NetlinkSocket events, std::set<Table> tables)
      : events_(std::move(events)), tables_(std::move(tables)) {}

  void OnEvents();
  void OnMessage(const os::NetlinkMessage& message);
  void Answer();

  os::NetlinkSocket events_;
  const std::set<Table> tables_;
  os::Reactor* reactor_ = nullptr;
  std::function<void()> write_again_;

  // Of the transaction whose messages are coming in; its last one tells who.
  std::set<Table> touched_;
  // Since the last answer.
  std::set<Table> changed_;
  std::string program_;
  uint32_t pid_ = 0;
  bool lost_ = false;

  bool answering_ = false;
  std::chrono::steady_clock::time_point next_{};
  std::chrono::milliseconds pause_{0};
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_RULESET_WATCH_H_
