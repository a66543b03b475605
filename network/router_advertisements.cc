#include "network/router_advertisements.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/link_settings.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::network {
namespace {

// Leaves the calling thread in the namespace.
absl::Status WriteInside(int netns_fd, const std::string& interface) {
  if (setns(netns_fd, CLONE_NEWNET) != 0) {
    return os::ErrnoStatus("setns of a network namespace");
  }
  const std::string path =
      absl::StrCat("/proc/sys/net/ipv6/conf/", interface, "/accept_ra");
  const os::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return errno == ENOENT ? absl::OkStatus()
                           : os::ErrnoStatus(absl::StrCat("open ", path));
  }
  if (write(fd.get(), "0", 1) != 1) {
    return os::ErrnoStatus(absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

// One that has expired meanwhile is gone, too.
absl::Status Delete(os::NetlinkSocket& host, os::NetlinkBatch& batch) {
  const absl::Status status = host.Transact(batch);
  const int error = os::NetlinkErrno(status);
  return error == ESRCH || error == EADDRNOTAVAIL ? absl::OkStatus() : status;
}

// Of a router, or for a prefix that one announced to be on this link: the
// kernel calls the latter its own and leaves it when the address goes. Pinion
// gives these devices no prefix but the link-local one.
bool IsLearned(const ListedRoute& route) {
  const ipam::IpPrefix& to = route.spec.destination;
  if (to.network().is_v4()) return false;
  if (route.protocol == RTPROT_RA) return true;
  static const ipam::IpPrefix link_local =
      ipam::IpPrefix::Around(*ipam::IpAddress::Parse("fe80::"), 10);
  return route.protocol == RTPROT_KERNEL && route.table == RT_TABLE_MAIN &&
         to.length() < to.network().bits() && !link_local.Contains(to);
}

absl::Status DeleteRoute(os::NetlinkSocket& host, const Link& link,
                         const ListedRoute& route) {
  const ipam::IpPrefix& to = route.spec.destination;
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = static_cast<uint8_t>(to.length());
  header.rtm_protocol = route.protocol;
  os::NetlinkBatch batch;
  batch.Begin(RTM_DELROUTE, 0, header,
              absl::StrCat("delete route to ", to.ToString(), " over ",
                           link.name, ", learned from a router"));
  batch.AddU32(RTA_TABLE, route.table);
  batch.AddU32(RTA_OIF, static_cast<uint32_t>(link.index));
  batch.Add(RTA_DST, to.network().Bytes().data(), to.network().byte_count());
  if (route.spec.via) {
    batch.Add(RTA_GATEWAY, route.spec.via->Bytes().data(),
              route.spec.via->byte_count());
  }
  return Delete(host, batch);
}

absl::Status Unlearn(os::NetlinkSocket& host, const Link& link) {
  PINION_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses,
                          ListAddresses(host, link.index));
  for (const LinkAddress& address : addresses) {
    if (address.address.is_v4() || !address.global || !address.dynamic) {
      continue;
    }
    os::NetlinkBatch batch;
    AppendAddressDeletion(batch, link.index, link.name, address.address,
                          address.prefix_length);
    PINION_RETURN_IF_ERROR(Delete(host, batch));
  }
  std::vector<ListedRoute> learned;
  PINION_RETURN_IF_ERROR(ListRoutes(host, [&](const ListedRoute& route) {
    if (route.spec.link_index != link.index || !IsLearned(route)) return;
    learned.push_back(route);
  }));
  for (const ListedRoute& route : learned) {
    PINION_RETURN_IF_ERROR(DeleteRoute(host, link, route));
    Log(LogLevel::kWarning, "removed what a router told a device of pinion's",
        {{"device", link.name}, {"route", route.spec.destination.ToString()}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status IgnoreRouterAdvertisements(int netns_fd,
                                        const std::string& interface) {
  absl::Status status;
  try {
    std::thread([&] { status = WriteInside(netns_fd, interface); }).join();
  } catch (const std::system_error& error) {
    return os::ErrnoStatus(error.code().value(),
                           "thread for a network namespace");
  }
  return status;
}

absl::Status RefuseRouters(os::NetlinkSocket& host, const Link& link) {
  PINION_ASSIGN_OR_RETURN(const LinkSettings settings,
                          GetLinkSettings(host, link.index));
  if (settings.accept_ra == 0) return absl::OkStatus();
  // The socket's, in which the device is.
  const os::UniqueFd netns(ioctl(host.fd(), SIOCGSKNS));
  if (!netns.valid()) return os::ErrnoStatus("network namespace of a socket");
  PINION_RETURN_IF_ERROR(IgnoreRouterAdvertisements(netns.get(), link.name));
  return Unlearn(host, link);
}

}  // namespace pinion::network
