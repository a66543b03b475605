#include "network/parent.h"

#include <errno.h>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/router_advertisements.h"

namespace pinion::network {
namespace {

using os::NetlinkBatch;
using os::NetlinkSocket;

// A dummy device costs least: it drops at once what no macvlan on it wants.
// Where the kernel has none, a veth pair does the same over its idle end.
absl::Status Create(NetlinkSocket& socket, const std::string& name,
                    const std::string& peer) {
  NetlinkBatch dummy;
  AppendSimpleLink(dummy, name, "dummy");
  const absl::Status status = socket.Transact(dummy);
  if (os::NetlinkErrno(status) != EOPNOTSUPP) return status;
  NetlinkBatch veth;
  AppendVethPair(veth, name, peer);
  return socket.Transact(veth);
}

// Own, silent and up. Silent because a frame that leaves the veth pair's idle
// end arrives in this very host, which would answer requests for its own
// addresses.
absl::Status SetUp(NetlinkSocket& socket, const std::string& name) {
  PINION_ASSIGN_OR_RETURN(const Link link, FindLink(socket, name));
  PINION_RETURN_IF_ERROR(RefuseRouters(socket, link));
  if (link.alias == kOwnAlias && link.up) return absl::OkStatus();
  NetlinkBatch batch;
  AppendNoIpv6LinkLocal(batch, link.index, name, link.mtu);
  AppendAlias(batch, link.index, name, kOwnAlias);
  AppendSilentLinkUp(batch, link.index, name);
  return socket.Transact(batch);
}

absl::StatusOr<Link> EnsureAutoParent(NetlinkSocket& socket,
                                      const Options& options) {
  const std::string name = AutoParentName(options.host_link_name);
  const std::string peer = AutoParentPeerName(options.host_link_name);
  absl::StatusOr<Link> link = FindLink(socket, name);
  if (link.status().code() == absl::StatusCode::kNotFound) {
    PINION_RETURN_IF_ERROR(Create(socket, name, peer));
    Log(LogLevel::kInfo, "made the pods' parent device", {{"device", name}});
    link = FindLink(socket, name);
  }
  PINION_RETURN_IF_ERROR(link.status());
  if (!IsOwn(*link)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "the device ", name,
        " exists and is not pinion's; choose another network.host_link_name"));
  }
  PINION_RETURN_IF_ERROR(SetUp(socket, name));
  if (link->kind == "veth") PINION_RETURN_IF_ERROR(SetUp(socket, peer));
  return FindLink(socket, name);
}

}  // namespace

bool IsOwn(const Link& link) {
  return link.alias == kOwnAlias || (link.alias.empty() && !link.up);
}

std::string ParentName(const Options& options) {
  return options.parent == kAutoParent ? AutoParentName(options.host_link_name)
                                       : options.parent;
}

LowerLink StandsOn(const Link& parent, const std::string& kind) {
  const std::string tap = kind == "macvlan" ? "macvtap" : "ipvtap";
  if (parent.kind == kind || parent.kind == tap) return parent.lower;
  return {.index = parent.index};
}

absl::StatusOr<Link> EnsureParent(NetlinkSocket& socket,
                                  const Options& options) {
  if (options.parent == kAutoParent) return EnsureAutoParent(socket, options);
  return FindLink(socket, options.parent);
}

absl::Status RemoveOwnLink(NetlinkSocket& socket, const std::string& name) {
  const absl::StatusOr<Link> link = FindLink(socket, name);
  if (link.status().code() == absl::StatusCode::kNotFound) {
    return absl::OkStatus();
  }
  PINION_RETURN_IF_ERROR(link.status());
  if (link->alias != kOwnAlias) {
    return absl::FailedPreconditionError(
        absl::StrCat("the device ", name, " is not pinion's"));
  }
  NetlinkBatch batch;
  AppendLinkDeletion(batch, link->index, name);
  const absl::Status status = socket.Transact(batch);
  if (os::NetlinkErrno(status) == ENODEV) return absl::OkStatus();
  return status;
}

}  // namespace pinion::network
