// Does our own CRI socket answer? For the watchdog.
//
// Thread-safe.

#ifndef PINION_DAEMON_SELF_CHECK_H_
#define PINION_DAEMON_SELF_CHECK_H_

#include <functional>
#include <string>

namespace pinion::daemon {

// A function that calls Version over the socket, as a client would, and says
// whether it answered within some seconds.
std::function<bool()> NewSelfCheck(const std::string& socket_path);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_SELF_CHECK_H_
