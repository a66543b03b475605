#include "network/announcer.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

#include <utility>

#include "network/neighbour_frames.h"
#include "os/error.h"

namespace pinion::network {
namespace {

constexpr std::chrono::seconds kInterval(1);

}  // namespace

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
