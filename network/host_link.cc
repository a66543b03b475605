#include "network/host_link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/mac.h"
#include "network/parent.h"
#include "os/error.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpPrefix;
using os::NetlinkBatch;
using os::NetlinkSocket;

absl::Status Create(NetlinkSocket& socket, const std::string& name,
                    const Link& parent, const MacAddress& mac) {
  NetlinkBatch batch;
  AppendMacvlan(batch,
                {.name = name, .parent_index = parent.index, .mac = mac});
  return socket.Transact(batch);
}

std::vector<RouteSpec> WantedRoutes(const std::vector<FamilyPlan>& plans,
                                    int link_index) {
  std::vector<RouteSpec> routes;
  for (const FamilyPlan& plan : plans) {
    for (const IpPrefix& prefix : RangePrefixes(plan.range)) {
      RouteSpec route;
      route.destination = prefix;
      route.link_index = link_index;
      route.source = plan.node;
      routes.push_back(route);
    }
  }
  return routes;
}

bool SameRoute(const RouteSpec& a, const RouteSpec& b) {
  return a.destination == b.destination && a.source == b.source &&
         a.via == b.via;
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

absl::Status AppendRouteChanges(NetlinkSocket& socket, const Link& link,
                                const std::vector<FamilyPlan>& plans,
                                NetlinkBatch& batch) {
  PINION_ASSIGN_OR_RETURN(const std::vector<RouteSpec> present,
                          ListOwnRoutes(socket, link.index));
  const std::vector<RouteSpec> wanted = WantedRoutes(plans, link.index);
  const auto contains = [](const std::vector<RouteSpec>& routes,
                           const RouteSpec& route) {
    return std::any_of(
        routes.begin(), routes.end(),
        [&route](const RouteSpec& other) { return SameRoute(route, other); });
  };
  for (const RouteSpec& route : present) {
    if (!contains(wanted, route)) AppendRouteDeletion(batch, route, link.name);
  }
  for (const RouteSpec& route : wanted) {
    if (!contains(present, route)) AppendRoute(batch, route, link.name);
  }
  return absl::OkStatus();
}

}  // namespace

MacAddress HostLinkMac(const std::vector<FamilyPlan>& plans) {
  for (const FamilyPlan& plan : plans) {
    if (plan.node) return MacFor(*plan.node);
  }
  return {};
}

absl::StatusOr<os::UniqueFd> ClaimHostLinkName(const std::string& name) {
  os::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return os::ErrnoStatus("socket AF_UNIX");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The first byte is 0: no file, and gone with the descriptor.
  const std::string path = "pinion/host-link/" + name;
  std::copy_n(path.data(), std::min(path.size(), sizeof(address.sun_path) - 1),
              address.sun_path + 1);
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0) {
    return fd;
  }
  if (errno != EADDRINUSE) return os::ErrnoStatus("bind @" + path);
  return absl::FailedPreconditionError(absl::StrCat(
      "another piniond has network.host_link_name = \"", name,
      "\" on this node: give this one another, and a range of its own "
      "(network.range)"));
}

absl::StatusOr<Link> EnsureHostLink(NetlinkSocket& socket,
                                    const Options& options, const Link& parent,
                                    const std::vector<FamilyPlan>& plans) {
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
    if (link->kind != "macvlan" || link->parent_index != parent.index ||
        link->mac != mac) {
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
  }
  PINION_RETURN_IF_ERROR(link.status());

  NetlinkBatch batch;
  if (link->alias != kOwnAlias || !link->up) {
    AppendArpIgnore(batch, link->index, name, 1);
    AppendNoIpv6LinkLocal(batch, link->index, name);
    AppendAlias(batch, link->index, name, kOwnAlias);
    AppendLinkUp(batch, link->index, name);
  }
  PINION_RETURN_IF_ERROR(AppendAddressChanges(socket, *link, plans, batch));
  PINION_RETURN_IF_ERROR(AppendRouteChanges(socket, *link, plans, batch));
  PINION_RETURN_IF_ERROR(socket.Transact(batch));
  return FindLink(socket, name);
}

}  // namespace pinion::network
