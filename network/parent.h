// The device that pods' macvlans stand on; and telling pinion's own devices
// from others.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_PARENT_H_
#define PINION_NETWORK_PARENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "network/options.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// IFLA_IFALIAS of every device that pinion makes on the host: what tells it
// from a device of the same name that it must not touch.
inline constexpr char kOwnAlias[] = "made by pinion";

// Whether pinion made the link: it has the alias, or it is what a crash
// leaves between a device's creation and its set-up.
bool IsOwn(const Link& link);

// options.parent, as it is; for "auto" the automatic parent, made if it is
// missing, up. NotFound: the named device does not exist. AlreadyExists: the
// automatic parent's name is taken by a device that pinion did not make.
absl::StatusOr<Link> EnsureParent(os::NetlinkSocket& socket,
                                  const Options& options);

// The name that options.parent stands for.
std::string ParentName(const Options& options);

// What a link of `kind` ("macvlan", "ipvlan") that is made on `parent` stands
// on: the parent, but if that is one of its kind itself, what that stands on
// (macvlan_common_newlink in drivers/net/macvlan.c, ipvlan_link_new).
LowerLink StandsOn(const Link& parent, const std::string& kind);

// Deletes a link that pinion made. Missing is success; FailedPrecondition for
// somebody else's.
absl::Status RemoveOwnLink(os::NetlinkSocket& socket, const std::string& name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_PARENT_H_
