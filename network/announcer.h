// Tells the L2 network where a pod's address is now: three gratuitous ARPs
// (RFC 5227, 3) or unsolicited neighbour advertisements (RFC 4861, 7.2.6),
// one second apart.
//
// They are sent from the host's side, on the parent, with the pod's MAC as
// their source: for switches and neighbours that is the same frame as the
// pod's own, and nobody has to enter the pod's namespace. Siblings on the
// same parent do not see them and need not: an address keeps its MAC.
//
// Thread-safe. Announce only queues; the frames leave on the reactor's
// thread, off the path of an attach.

#ifndef PINION_NETWORK_ANNOUNCER_H_
#define PINION_NETWORK_ANNOUNCER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "network/rtnl.h"
#include "os/reactor.h"
#include "os/unique_fd.h"

namespace pinion::network {

class Announcer {
 public:
  static constexpr int kTimes = 3;

  // For the calling thread's network namespace. The reactor must outlive the
  // announcer.
  static absl::StatusOr<std::unique_ptr<Announcer>> Create(
      os::Reactor* reactor);

  void Announce(int parent_index, const MacAddress& mac,
                const std::vector<ipam::IpAddress>& addresses);

 private:
  // Shared with queued callbacks, which may run after the announcer's end.
  struct Socket {
    os::UniqueFd fd;
  };

  Announcer(os::Reactor* reactor, os::UniqueFd fd);

  static void Send(os::Reactor* reactor, std::weak_ptr<Socket> socket,
                   int parent_index, std::string frame, int times);

  os::Reactor* const reactor_;
  const std::shared_ptr<Socket> socket_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_ANNOUNCER_H_
