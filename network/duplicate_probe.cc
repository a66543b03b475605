#include "network/duplicate_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/mac.h"
#include "network/network_metrics.h"
#include "os/error.h"
#include "os/socket_filter.h"
#include "os/unique_fd.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using std::chrono::steady_clock;

constexpr int kFramesAtOnce = 64;

// Of the link only what was said on itself, and of what comes over IPv6 only
// solicitations and advertisements. A packet socket gets the frames of the
// link's VLANs as well, and without their tags: those of a VLAN that has a
// device as that one's, the others as other stations' (__netif_receive_skb_core
// in the kernel's net/core/dev.c, Linux 6.1).
absl::Status KeepClaimsOnly(int fd, int link_index, bool v4) {
  constexpr uint32_t kNextHeader = 14 + 6;
  constexpr uint32_t kIcmpType = 14 + 40;
  constexpr uint32_t kAll = 0xffff;
  const uint32_t kernel = static_cast<uint32_t>(SKF_AD_OFF);
  std::array<sock_filter, 11> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kernel + SKF_AD_IFINDEX),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(link_index), 0,
               8),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kernel + SKF_AD_PKTTYPE),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 6, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kIcmpType),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 135, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kAll),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  // The rest is of IPv6's headers.
  if (v4) code[4] = BPF_STMT(BPF_RET | BPF_K, kAll);
  return Annotate(os::AttachFilter(fd, code), "listen for other owners");
}

// Advertisements that answer go to all nodes, whether or not the device's own
// IPv6 is on.
absl::Status HearAllNodes(int fd, int link_index) {
  packet_mreq group{};
  group.mr_ifindex = link_index;
  group.mr_type = PACKET_MR_MULTICAST;
  group.mr_alen = ETH_ALEN;
  constexpr std::array<uint8_t, ETH_ALEN> kAllNodes = {0x33, 0x33, 0, 0, 0, 1};
  memcpy(group.mr_address, kAllNodes.data(), kAllNodes.size());
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group,
                 sizeof(group)) != 0) {
    return os::ErrnoStatus("setsockopt PACKET_ADD_MEMBERSHIP");
  }
  return absl::OkStatus();
}

// What the family's stations say of addresses on the link.
absl::StatusOr<os::UniqueFd> Listen(int link_index, bool v4) {
  // Protocol 0: nothing is heard before the filter is there.
  os::UniqueFd fd(
      socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return os::ErrnoStatus("socket AF_PACKET");
  PINION_RETURN_IF_ERROR(KeepClaimsOnly(fd.get(), link_index, v4));
  if (!v4) PINION_RETURN_IF_ERROR(HearAllNodes(fd.get(), link_index));
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_protocol = htons(v4 ? ETH_P_ARP : ETH_P_IPV6);
  link.sll_ifindex = link_index;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&link), sizeof(link)) != 0) {
    return os::ErrnoStatus(absl::StrCat("bind AF_PACKET to link ", link_index));
  }
  return fd;
}

}  // namespace

absl::StatusOr<DuplicateQuestion> DuplicateQuestion::Open(
    int link_index, const MacAddress& mac,
    const std::vector<IpAddress>& addresses) {
  DuplicateQuestion question;
  question.mac_ = mac;
  for (const IpAddress& address : addresses) {
    PINION_ASSIGN_OR_RETURN(os::UniqueFd fd,
                            Listen(link_index, address.is_v4()));
    question.probes_.push_back(
        {std::move(fd), address, ProbeFrame(address, mac)});
  }
  return question;
}

absl::StatusOr<std::optional<AddressClaim>> DuplicateQuestion::Ask(
    const ProbePace& pace) {
  for (int i = 0; i < pace.times; ++i) {
    PINION_RETURN_IF_ERROR(Send());
    PINION_ASSIGN_OR_RETURN(std::optional<AddressClaim> claim,
                            HearUntil(steady_clock::now() + pace.interval));
    if (claim.has_value()) return claim;
  }
  return std::nullopt;
}

absl::Status DuplicateQuestion::Send() const {
  for (const Probe& probe : probes_) {
    if (send(probe.fd.get(), probe.frame.data(), probe.frame.size(), 0) < 0) {
      return os::ErrnoStatus(
          absl::StrCat("send a probe for ", probe.address.ToString()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<AddressClaim>> DuplicateQuestion::HearUntil(
    steady_clock::time_point end) const {
  std::vector<pollfd> polled;
  for (const Probe& probe : probes_) {
    polled.push_back({probe.fd.get(), POLLIN, 0});
  }
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
    const bool over = left.count() <= 0;
    const int n = poll(polled.data(), polled.size(),
                       over ? 0 : static_cast<int>(left.count()));
    if (n < 0 && errno != EINTR) return os::ErrnoStatus("poll AF_PACKET");
    for (const Probe& probe : probes_) {
      PINION_ASSIGN_OR_RETURN(std::optional<AddressClaim> claim, Hear(probe));
      if (claim.has_value()) return claim;
    }
    // An answer in time counts also for a thread that was kept waiting.
    if (over) return std::nullopt;
  }
}

absl::StatusOr<std::optional<AddressClaim>> DuplicateQuestion::Hear(
    const Probe& probe) const {
  // So few that the caller looks at the time, and at the other sockets.
  for (int frames = 0; frames < kFramesAtOnce; ++frames) {
    std::array<char, 256> buffer;
    const ssize_t n = recv(probe.fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    if (n < 0) return os::ErrnoStatus("recv AF_PACKET");
    const std::optional<AddressClaim> claim =
        ReadClaim({buffer.data(), static_cast<size_t>(n)});
    // A switch may send back what we said.
    if (claim.has_value() && claim->address == probe.address &&
        claim->mac != mac_) {
      return claim;
    }
  }
  return std::nullopt;
}

absl::Status DuplicateProbe::Check(const Link& parent,
                                   const std::vector<ipam::IpLease>& leases) {
  std::vector<IpAddress> unknown;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(link_index_, parent.index) != parent.index) {
      found_free_.clear();
    }
    for (const ipam::IpLease& lease : leases) {
      if (lease.fresh() && found_free_.count(lease.address()) == 0) {
        unknown.push_back(lease.address());
      }
    }
  }
  if (unknown.empty()) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(
      DuplicateQuestion question,
      DuplicateQuestion::Open(parent.index, parent.mac, unknown));
  PINION_ASSIGN_OR_RETURN(const std::optional<AddressClaim> other,
                          question.Ask());
  if (!other.has_value()) {
    absl::MutexLock lock(&mutex_);
    if (link_index_ == parent.index) {
      found_free_.insert(unknown.begin(), unknown.end());
    }
    return absl::OkStatus();
  }
  for (const ipam::IpLease& lease : leases) {
    if (lease.address() != other->address) continue;
    NetworkMetrics::DuplicatesOf(registry_, lease.pool().range().name())
        .Increment();
  }
  const std::string address = other->address.ToString();
  const std::string mac = MacToString(other->mac);
  Log(LogLevel::kWarning, "another station has an address of the range",
      {{"address", address}, {"mac", mac}, {"device", parent.name}});
  return absl::AbortedError(
      absl::StrCat("the address ", address, " is ", mac, "'s on ", parent.name,
                   "; take it out of the range or name it in network.exclude"));
}

}  // namespace pinion::network
