#include "network/announcer.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

#include <utility>

#include "os/error.h"

namespace pinion::network {
namespace {

constexpr std::chrono::seconds kInterval(1);

void Append(std::string& frame, std::initializer_list<uint8_t> bytes) {
  for (const uint8_t byte : bytes) frame.push_back(static_cast<char>(byte));
}

template <typename Bytes>
void AppendBytes(std::string& frame, const Bytes& bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    frame.push_back(static_cast<char>(bytes[i]));
  }
}

// RFC 826: an ARP request whose sender and target protocol address are the
// same (RFC 5227, 1.1: "ARP Announcement").
std::string ArpAnnouncement(const ipam::IpAddress& address,
                            const MacAddress& mac) {
  const auto ip = address.Bytes();
  std::string frame(ETH_ALEN, '\xff');
  AppendBytes(frame, mac, ETH_ALEN);
  Append(frame, {0x08, 0x06});                  // EtherType ARP
  Append(frame, {0, 1, 0x08, 0, ETH_ALEN, 4});  // Ethernet, IPv4
  Append(frame, {0, 1});                        // request
  AppendBytes(frame, mac, ETH_ALEN);
  AppendBytes(frame, ip, 4);
  Append(frame, {0, 0, 0, 0, 0, 0});
  AppendBytes(frame, ip, 4);
  return frame;
}

// RFC 4861, 4.4: a neighbour advertisement to all nodes, with the override
// flag and the target's link-layer address.
std::string NeighbourAdvertisement(const ipam::IpAddress& address,
                                   const MacAddress& mac) {
  const auto ip = address.Bytes();
  std::string icmp;
  Append(icmp, {136, 0, 0, 0, 0x20, 0, 0, 0});
  AppendBytes(icmp, ip, 16);
  Append(icmp, {2, 1});
  AppendBytes(icmp, mac, ETH_ALEN);

  std::string addresses;
  AppendBytes(addresses, ip, 16);
  Append(addresses, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

  // RFC 4443, 2.3: over source, destination, length and next header, too.
  const auto length = static_cast<uint8_t>(icmp.size());
  std::string summed = addresses;
  Append(summed, {0, 0, 0, length, 0, 0, 0, 58});
  summed += icmp;
  uint32_t sum = 0;
  for (size_t i = 0; i < summed.size(); i += 2) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(summed[i]) << 8 |
                                 static_cast<uint8_t>(summed[i + 1]));
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  icmp[2] = static_cast<char>(~sum >> 8);
  icmp[3] = static_cast<char>(~sum);

  std::string frame;
  Append(frame, {0x33, 0x33, 0, 0, 0, 1});  // RFC 2464, 7: ff02::1
  AppendBytes(frame, mac, ETH_ALEN);
  Append(frame, {0x86, 0xdd, 0x60, 0, 0, 0, 0, length, 58, 255});
  return frame + addresses + icmp;
}

}  // namespace

std::string AnnouncementFrame(const ipam::IpAddress& address,
                              const MacAddress& mac) {
  return address.is_v4() ? ArpAnnouncement(address, mac)
                         : NeighbourAdvertisement(address, mac);
}

Announcer::Announcer(os::Reactor* reactor, os::UniqueFd fd)
    : reactor_(reactor),
      socket_(std::make_shared<Socket>(Socket{std::move(fd)})) {}

absl::StatusOr<std::unique_ptr<Announcer>> Announcer::Create(
    os::Reactor* reactor) {
  // Protocol 0: it receives nothing.
  os::UniqueFd fd(
      socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return os::ErrnoStatus("socket AF_PACKET");
  return std::unique_ptr<Announcer>(new Announcer(reactor, std::move(fd)));
}

void Announcer::Announce(int parent_index, const MacAddress& mac,
                         const std::vector<ipam::IpAddress>& addresses) {
  for (const ipam::IpAddress& address : addresses) {
    reactor_->Post([reactor = reactor_, socket = std::weak_ptr(socket_),
                    parent_index, frame = AnnouncementFrame(address, mac)] {
      Send(reactor, socket, parent_index, frame, kTimes);
    });
  }
}

void Announcer::Send(os::Reactor* reactor, std::weak_ptr<Socket> weak,
                     int parent_index, std::string frame, int times) {
  const std::shared_ptr<Socket> socket = weak.lock();
  if (socket == nullptr) return;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = parent_index;
  to.sll_halen = ETH_ALEN;
  memcpy(to.sll_addr, frame.data(), ETH_ALEN);
  // A lost announcement is no fault: it only hastens what ARP finds out by
  // itself, and a parent that is gone shows in the network's readiness.
  (void)sendto(socket->fd.get(), frame.data(), frame.size(), 0,
               reinterpret_cast<sockaddr*>(&to), sizeof(to));
  if (times <= 1) return;
  reactor->After(kInterval, [reactor, weak = std::move(weak), parent_index,
                             frame = std::move(frame), times] {
    Send(reactor, weak, parent_index, frame, times - 1);
  });
}

}  // namespace pinion::network
