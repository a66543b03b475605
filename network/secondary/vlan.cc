#include "network/secondary/vlan.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/parent.h"
#include "network/router_advertisements.h"

namespace pinion::network {
namespace {

using os::NetlinkBatch;
using os::NetlinkMessage;
using os::NetlinkSocket;

constexpr char kKind[] = "vlan";

// FNV-1a: the same in every build, for what outlives the daemon.
uint32_t Hash(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  }
  return hash ^ (hash >> 16);
}

std::string NamePrefix(const std::string& host_link_name) {
  return absl::StrFormat("pv%03x", Hash(host_link_name) & 0xfff);
}

// A VLAN of a link list: its device and its number.
struct Vlan {
  Link link;
  uint32_t id = 0;
};

absl::StatusOr<std::vector<Vlan>> ListAll(NetlinkSocket& socket) {
  std::vector<Vlan> vlans;
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{}, "list links");
  PINION_RETURN_IF_ERROR(socket.Query(batch, [&](const NetlinkMessage& one) {
    std::optional<Link> link = ParseLink(one);
    if (!link || link->kind != kKind) return;
    const auto id = NetlinkMessage::Find(
        NetlinkMessage::Find(
            NetlinkMessage::Find(one.Attributes(sizeof(ifinfomsg)),
                                 IFLA_LINKINFO),
            IFLA_INFO_DATA),
        IFLA_VLAN_ID);
    Vlan vlan{*std::move(link)};
    if (uint16_t number = 0; id.size() == sizeof(number)) {
      std::copy(id.begin(), id.end(), reinterpret_cast<char*>(&number));
      vlan.id = number;
    }
    vlans.push_back(std::move(vlan));
  }));
  return vlans;
}

// What to say if the kernel has such a VLAN already.
absl::Status Taken(NetlinkSocket& socket, const Link& parent, uint32_t vlan,
                   const absl::Status& status) {
  const auto present = ListAll(socket);
  if (!present.ok()) return status;
  for (const Vlan& one : *present) {
    if (one.link.parent_index != parent.index || one.id != vlan) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "VLAN ", vlan, " of ", parent.name, " is ", one.link.name,
        ", which pinion did not make: name that as the parent, or remove it"));
  }
  return status;
}

absl::Status Create(NetlinkSocket& socket, const std::string& name,
                    const Link& parent, uint32_t vlan) {
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{},
              absl::StrCat("create VLAN ", vlan, " of ", parent.name));
  batch.AddString(IFLA_IFNAME, name);
  batch.AddU32(IFLA_LINK, static_cast<uint32_t>(parent.index));
  batch.Nest(IFLA_LINKINFO, [&] {
    batch.AddString(IFLA_INFO_KIND, kKind);
    batch.Nest(IFLA_INFO_DATA, [&] {
      const auto id = static_cast<uint16_t>(vlan);
      batch.Add(IFLA_VLAN_ID, &id, sizeof(id));
    });
  });
  const absl::Status status = socket.Transact(batch);
  if (os::NetlinkErrno(status) != EEXIST) return status;
  return Taken(socket, parent, vlan, status);
}

// What the device is marked with: the digits in its name may be another
// daemon's as well.
std::string AliasFor(const std::string& host_link_name) {
  return absl::StrCat(kOwnAlias, " (", host_link_name, ")");
}

// The kernel takes it down with the parent's and never up again. Where the
// parent adds something of its own to frames (macsec) it may have no more.
absl::Status FollowMtu(NetlinkSocket& socket, const Link& parent, Link& link) {
  if (link.mtu == parent.mtu) return absl::OkStatus();
  NetlinkBatch batch;
  AppendMtu(batch, link.index, link.name, parent.mtu);
  const absl::Status status = socket.Transact(batch);
  if (os::NetlinkErrno(status) == ERANGE) return absl::OkStatus();
  if (status.ok()) link.mtu = parent.mtu;
  return status;
}

absl::Status SetUp(NetlinkSocket& socket, const Link& link,
                   const std::string& alias) {
  PINION_RETURN_IF_ERROR(RefuseRouters(socket, link));
  if (link.alias == alias && link.up) return absl::OkStatus();
  NetlinkBatch batch;
  AppendNoIpv6LinkLocal(batch, link.index, link.name, link.mtu);
  AppendAlias(batch, link.index, link.name, alias);
  AppendSilentLinkUp(batch, link.index, link.name);
  return socket.Transact(batch);
}

// Without a name in the alias it is half made, or an earlier version's.
bool IsOurs(const Link& link, const std::string& host_link_name) {
  return link.kind == kKind &&
         (IsOwn(link) || link.alias == AliasFor(host_link_name)) &&
         IsVlanDeviceName(host_link_name, link.name);
}

}  // namespace

std::string VlanDeviceName(const std::string& host_link_name,
                           const std::string& parent, uint32_t vlan) {
  return absl::StrFormat("%s%05x.%d", NamePrefix(host_link_name),
                         Hash(parent) & 0xfffff, vlan);
}

bool IsVlanDeviceName(const std::string& host_link_name,
                      const std::string& name) {
  const std::string prefix = NamePrefix(host_link_name);
  return absl::StartsWith(name, prefix) && name.find('.') == prefix.size() + 5;
}

absl::StatusOr<Link> EnsureVlan(NetlinkSocket& socket,
                                const std::string& host_link_name,
                                const Link& parent, uint32_t vlan) {
  const std::string name = VlanDeviceName(host_link_name, parent.name, vlan);
  absl::StatusOr<Link> link = FindLink(socket, name);
  if (absl::IsNotFound(link.status())) {
    PINION_RETURN_IF_ERROR(Create(socket, name, parent, vlan));
    Log(LogLevel::kInfo, "made a VLAN device",
        {{"device", name}, {"parent", parent.name}, {"vlan", vlan}});
    link = FindLink(socket, name);
  }
  PINION_RETURN_IF_ERROR(link.status());
  if (!IsOurs(*link, host_link_name) || link->parent_index != parent.index) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the device ", name, " is not pinion's VLAN of ", parent.name));
  }
  // First: below some size it has no IPv6 to set up.
  absl::Status status = FollowMtu(socket, parent, *link);
  if (status.ok()) status = SetUp(socket, *link, AliasFor(host_link_name));
  if (!status.ok()) {
    // Another pod may be on one that is not new: it stays.
    if (link->alias.empty()) (void)RemoveVlan(socket, *link);
    return status;
  }
  return FindLink(socket, name);
}

absl::StatusOr<std::vector<Link>> ListVlans(NetlinkSocket& socket,
                                            const std::string& host_link_name) {
  PINION_ASSIGN_OR_RETURN(std::vector<Vlan> vlans, ListAll(socket));
  std::vector<Link> ours;
  for (Vlan& vlan : vlans) {
    if (!IsOurs(vlan.link, host_link_name)) continue;
    ours.push_back(std::move(vlan.link));
  }
  return ours;
}

absl::Status RemoveVlan(NetlinkSocket& socket, const Link& link) {
  NetlinkBatch batch;
  AppendLinkDeletion(batch, link.index, link.name);
  const absl::Status status = socket.Transact(batch);
  return os::NetlinkErrno(status) == ENODEV ? absl::OkStatus() : status;
}

}  // namespace pinion::network
