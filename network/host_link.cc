#include "network/host_link.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/host_link_arp.h"
#include "network/mac.h"
#include "network/node_routes.h"
#include "network/parent.h"
#include "network/router_advertisements.h"
#include "os/error.h"

namespace pinion::network {
namespace {

constexpr std::chrono::seconds kClaimTimeout{2};
constexpr char kOwnNetns[] = "/proc/thread-self/ns/net";
// No daemon's own: each may have another directory of state.
constexpr char kClaims[] = "/run/pinion-links";

using ipam::IpAddress;
using os::NetlinkBatch;
using os::NetlinkSocket;

// What the kernel's answer means here.
absl::Status Explain(NetlinkSocket& socket, const absl::Status& status,
                     const Link& parent) {
  const std::string text(status.message());
  switch (os::NetlinkErrno(status)) {
    case EOPNOTSUPP:
      return absl::FailedPreconditionError(absl::StrCat(
          text, ": this kernel has no macvlan (modprobe macvlan)"));
    case EBUSY: {
      PINION_ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
      for (const Link& link : links) {
        if (link.index != parent.master_index) continue;
        return absl::FailedPreconditionError(
            absl::StrCat(text, ": ", parent.name, " is a port of ", link.name,
                         ": set network.parent = \"", link.name, "\""));
      }
      return absl::FailedPreconditionError(
          absl::StrCat(text, ": ", parent.name,
                       " carries ipvlans or the like, which must "
                       "have it to themselves; name another network.parent"));
    }
    case EINVAL:
      return absl::FailedPreconditionError(
          absl::StrCat(text, ": ", parent.name,
                       " is no Ethernet device, or carries a macvlan or "
                       "macvtap in mode passthru (a virtual machine's), which "
                       "has it to itself; name another network.parent"));
    default:
      return status;
  }
}

absl::Status Create(NetlinkSocket& socket, const std::string& name,
                    const Link& parent, const MacAddress& mac) {
  NetlinkBatch batch;
  AppendMacvlan(batch,
                {.name = name, .parent_index = parent.index, .mac = mac});
  return Explain(socket, socket.Transact(batch), parent);
}

// What the kernel's answer means when the link is set up: two daemons with one
// node address come to one MAC.
absl::Status ExplainSetUp(NetlinkSocket& socket, const absl::Status& status,
                          const Link& link, const Link& parent) {
  const int error = os::NetlinkErrno(status);
  if (error != EADDRINUSE && error != EBUSY) return status;
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  std::string other = "another device";
  for (const Link& one : links) {
    if (one.index == link.index || one.mac != link.mac ||
        one.lower != link.lower) {
      continue;
    }
    other = one.alias == kOwnAlias
                ? absl::StrCat("another piniond's ", one.name)
                : absl::StrCat("the device ", one.name);
  }
  return absl::FailedPreconditionError(absl::StrCat(
      std::string(status.message()), ": ", other, " on ", parent.name,
      " has its MAC ", MacToString(link.mac),
      ", which follows from the node's address: set network.node_address to "
      "one that only this piniond uses, of its network.range"));
}

absl::Status IsMisplaced(const std::string& name, const Link& parent) {
  return absl::FailedPreconditionError(
      absl::StrCat("the kernel put ", name, " on another device than ",
                   parent.name, ": name that one as network.parent"));
}

struct WantedAddress {
  IpAddress address;
  int prefix_length = 0;
};

std::vector<WantedAddress> WantedAddresses(
    const std::vector<FamilyPlan>& plans) {
  std::vector<WantedAddress> wanted;
  for (const FamilyPlan& plan : plans) {
    if (plan.node && plan.node_on_host_link) {
      wanted.push_back({*plan.node, plan.node->bits()});
    }
    // What is forwarded to a pod is preceded by a solicitation from the
    // link-local address. The kernel would make that, too, but take a second
    // to see that no other has it.
    if (plan.range.family() == ipam::Family::kIpv6) {
      wanted.push_back({LinkLocalFor(HostLinkMac(plans)), 64});
    }
  }
  return wanted;
}

// Appends what turns the link's addresses into the wanted ones.
absl::Status AppendAddressChanges(NetlinkSocket& socket, const Link& link,
                                  const std::vector<FamilyPlan>& plans,
                                  NetlinkBatch& batch) {
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> present,
                          ListAddresses(socket, link.index));
  std::vector<WantedAddress> missing = WantedAddresses(plans);
  for (const LinkAddress& address : present) {
    const auto it = std::find_if(
        missing.begin(), missing.end(), [&address](const WantedAddress& want) {
          return want.address == address.address &&
                 want.prefix_length == address.prefix_length;
        });
    if (it != missing.end()) {
      missing.erase(it);
    } else if (address.global) {
      AppendAddressDeletion(batch, link.index, link.name, address.address,
                            address.prefix_length);
    }
  }
  for (const WantedAddress& want : missing) {
    AppendAddress(batch, link.index, link.name, want.address,
                  want.prefix_length);
  }
  return absl::OkStatus();
}

// The kernel takes it down with the parent's and never up again.
absl::Status FollowMtu(NetlinkSocket& socket, const Link& parent, Link& link) {
  if (link.mtu == parent.mtu) return absl::OkStatus();
  NetlinkBatch batch;
  AppendMtu(batch, link.index, link.name, parent.mtu);
  PINION_RETURN_IF_ERROR(socket.Transact(batch));
  link.mtu = parent.mtu;
  return absl::OkStatus();
}

absl::Status HostLinkTaken(const std::string& name) {
  return absl::FailedPreconditionError(absl::StrCat(
      "another piniond has network.host_link_name = \"", name,
      "\" on this node: give this one another, and a range of its own "
      "(network.range)"));
}

}  // namespace

MacAddress HostLinkMac(const std::vector<FamilyPlan>& plans) {
  for (const FamilyPlan& plan : plans) {
    if (plan.node_mac) return *plan.node_mac;
  }
  for (const FamilyPlan& plan : plans) {
    if (plan.node) return MacFor(*plan.node);
  }
  return {};
}

absl::StatusOr<os::UniqueFd> ClaimHostLinkName(const std::string& name) {
  struct stat netns {};
  if (stat(kOwnNetns, &netns) != 0) return os::ErrnoStatus(kOwnNetns);
  if (mkdir(kClaims, 0700) != 0 && errno != EEXIST) {
    return os::ErrnoStatus(absl::StrCat("mkdir ", kClaims));
  }
  const std::string path = absl::StrCat(kClaims, "/", netns.st_ino, "-", name);
  os::UniqueFd fd(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return os::ErrnoStatus(absl::StrCat("open ", path));
  // One that was killed a moment ago may have it still, or a child of its that
  // is not another program yet. Nothing tells when it is gone.
  const auto until = std::chrono::steady_clock::now() + kClaimTimeout;
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return os::ErrnoStatus(absl::StrCat("lock ", path));
    }
    if (std::chrono::steady_clock::now() > until) return HostLinkTaken(name);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fd;
}

absl::Status AppendNodeAddresses(NetlinkSocket& socket, const Link& link,
                                 const Link& parent,
                                 const std::vector<FamilyPlan>& plans,
                                 NetlinkBatch& batch) {
  PINION_ASSIGN_OR_RETURN(const NodeRouteChanges routes,
                          PlanNodeRoutes(socket, link, parent, plans));
  // Before the addresses: with an address the kernel takes the routes that
  // name it away, and is not always done with it when it answers.
  for (const RouteSpec& route : routes.superfluous) {
    AppendRouteDeletion(batch, route, link.name);
  }
  PINION_RETURN_IF_ERROR(AppendAddressChanges(socket, link, plans, batch));
  for (const RouteSpec& route : routes.missing) {
    AppendNewRoute(batch, route, link.name);
  }
  return absl::OkStatus();
}

absl::Status CheckPlace(const Link& link, const Link& parent,
                        const std::string& kind, Misplaced& misplaced) {
  if (link.lower == StandsOn(parent, kind)) return absl::OkStatus();
  misplaced = {.index = link.index, .parent_index = parent.index};
  return IsMisplaced(link.name, parent);
}

absl::StatusOr<bool> IsPlaced(const Link& link, const Link& parent,
                              const std::string& kind,
                              const Misplaced& misplaced) {
  if (link.index == misplaced.index && parent.index == misplaced.parent_index) {
    return IsMisplaced(link.name, parent);
  }
  return link.kind == kind && link.lower == StandsOn(parent, kind);
}

absl::StatusOr<Link> EnsureHostLink(NetlinkSocket& socket,
                                    const Options& options, const Link& parent,
                                    const std::vector<FamilyPlan>& plans,
                                    Misplaced& misplaced) {
  const std::string& name = options.host_link_name;
  const MacAddress mac = HostLinkMac(plans);
  absl::StatusOr<Link> link = FindLink(socket, name);
  if (link.ok()) {
    if (!IsOwn(*link)) {
      return absl::AlreadyExistsError(
          absl::StrCat("the device ", name,
                       " exists and is not pinion's; choose another "
                       "network.host_link_name"));
    }
    PINION_ASSIGN_OR_RETURN(const bool placed,
                            IsPlaced(*link, parent, "macvlan", misplaced));
    if (!placed || link->mac != mac) {
      NetlinkBatch batch;
      AppendLinkDeletion(batch, link->index, name);
      PINION_RETURN_IF_ERROR(socket.Transact(batch));
      link = absl::NotFoundError("");
    }
  }
  if (link.status().code() == absl::StatusCode::kNotFound) {
    PINION_RETURN_IF_ERROR(Create(socket, name, parent, mac));
    Log(LogLevel::kInfo, "made the host link",
        {{"device", name}, {"parent", parent.name}, {"mac", MacToString(mac)}});
    link = FindLink(socket, name);
    PINION_RETURN_IF_ERROR(link.status());
    PINION_RETURN_IF_ERROR(CheckPlace(*link, parent, "macvlan", misplaced));
  }
  PINION_RETURN_IF_ERROR(link.status());

  // First: below some size it has no IPv6 to set up.
  PINION_RETURN_IF_ERROR(FollowMtu(socket, parent, *link));
  PINION_RETURN_IF_ERROR(RefuseRouters(socket, *link));

  NetlinkBatch batch;
  PINION_RETURN_IF_ERROR(AppendArpChanges(socket, *link, plans, batch));
  if (link->alias != kOwnAlias || !link->up) {
    AppendNoIpv6LinkLocal(batch, link->index, name, link->mtu);
    AppendAlias(batch, link->index, name, kOwnAlias);
    AppendLinkUp(batch, link->index, name);
  }
  PINION_RETURN_IF_ERROR(
      AppendNodeAddresses(socket, *link, parent, plans, batch));
  PINION_RETURN_IF_ERROR(
      ExplainSetUp(socket, socket.Transact(batch), *link, parent));
  return FindLink(socket, name);
}

}  // namespace pinion::network
