// The pod's namespaces, network under kNetnsFd (inherited.h): made by the
// monitor for itself and inherited by what it starts. Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_POD_NAMESPACES_H_
#define PINION_RUNTIME_MONITOR_POD_NAMESPACES_H_

#include <sys/types.h>

#include "runtime/monitor/messages.h"
#include "runtime/monitor/text.h"

namespace pinion::monitor {

// Why a step failed, in memory of its own.
struct Failed {
  int error = 0;
  FixedText<64> what;
  FixedText<256> object;

  // Returns false.
  bool Set(int number, std::string_view step, std::string_view name);
};

class PodNamespaces {
 public:
  // Once. Unshares (or enters the network namespace it is given), sets hostname
  // and sysctls, starts the reaping init. On success *route_socket is a
  // NETLINK_ROUTE socket of the network namespace it made (-1 if it made none)
  // that becomes the caller's. A failure cannot be
  // undone: the monitor is then of no use and is shut down.
  bool SetUp(const SandboxMessage& request, const MessageReader& reader,
             int* route_socket, Failed* failed);

  // Of the shared PID namespace; -1 and 0 if there is none.
  int pidns_fd() const { return pidns_fd_; }
  // The pod's shared /dev/shm (launch/pod_shm.h); -1 if there is none.
  int shm_fd() const { return shm_fd_; }
  // The pod's user namespace; -1 if it has none of its own.
  int userns_fd() const { return userns_fd_; }
  pid_t init_pid() const { return init_pid_; }
  bool has_network() const { return has_network_; }

 private:
  bool EnterNetwork(int netns, Failed* failed);
  bool OpenNetwork(int* route_socket, Failed* failed);
  bool StartInit(Failed* failed);
  pid_t CloneInit();

  bool done_ = false;
  bool has_network_ = false;
  pid_t init_pid_ = 0;
  int pidns_fd_ = -1;
  int shm_fd_ = -1;
  int userns_fd_ = -1;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_POD_NAMESPACES_H_
