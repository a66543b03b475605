#include "os/network_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace pinion::os {
namespace {

ino_t InodeOf(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st.st_ino;
}

TEST(NetworkNamespaceTest, EachIsNewAndTheCallerStays) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const ino_t own = InodeOf("/proc/thread-self/ns/net");
  std::set<ino_t> inodes = {own};
  std::vector<NetworkNamespace> kept;
  for (int i = 0; i < 3; ++i) {
    auto made = NewNetworkNamespace(RouterAdvertisements::kHeeded);
    ASSERT_TRUE(made.ok()) << made.status();
    inodes.insert(InodeOf("/proc/self/fd/" + std::to_string(made->fd.get())));
    kept.push_back(std::move(*made));
  }
  EXPECT_EQ(inodes.size(), 4u);
  EXPECT_EQ(InodeOf("/proc/thread-self/ns/net"), own);
}

TEST(NetworkNamespaceTest, ItsSocketSeesOnlyLoAndThatUp) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto made = NewNetworkNamespace(RouterAdvertisements::kHeeded);
  ASSERT_TRUE(made.ok()) << made.status();
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  const int fd = made->route_socket.get();
  ASSERT_EQ(send(fd, &request, sizeof(request), 0), ssize_t{sizeof(request)});
  alignas(nlmsghdr) char answer[32768];
  int others = 0;
  bool lo_is_up = false;
  for (bool done = false; !done;) {
    ssize_t n = recv(fd, answer, sizeof(answer), 0);
    ASSERT_GT(n, 0);
    for (auto* h = reinterpret_cast<nlmsghdr*>(answer);
         NLMSG_OK(h, static_cast<unsigned>(n)); h = NLMSG_NEXT(h, n)) {
      done |= h->nlmsg_type == NLMSG_DONE;
      if (h->nlmsg_type != RTM_NEWLINK) continue;
      const auto* link = static_cast<ifinfomsg*>(NLMSG_DATA(h));
      if ((link->ifi_flags & IFF_LOOPBACK) == 0) {
        // ifb and the like, which kernels with them built in put everywhere.
        others += (link->ifi_flags & IFF_UP) != 0 ? 1 : 0;
      } else {
        lo_is_up = (link->ifi_flags & IFF_UP) != 0;
      }
    }
  }
  EXPECT_TRUE(lo_is_up);
  EXPECT_EQ(others, 0);
}

// What a thread that is in the namespace reads.
std::string ReadInside(int netns_fd, const std::string& path) {
  std::string text;
  std::thread([&] {
    if (setns(netns_fd, CLONE_NEWNET) != 0) return;
    std::getline(std::ifstream(path), text);
  }).join();
  return text;
}

TEST(NetworkNamespaceTest, ItsDevicesHeedRoutersOrDoNot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  if (!KernelHasIpv6()) GTEST_SKIP() << "needs IPv6";
  const std::string conf = "/proc/sys/net/ipv6/conf/default/accept_ra";
  const auto heeding = NewNetworkNamespace(RouterAdvertisements::kHeeded);
  ASSERT_TRUE(heeding.ok()) << heeding.status();
  EXPECT_EQ(ReadInside(heeding->fd.get(), conf), "1");
  const auto ignoring = NewNetworkNamespace(RouterAdvertisements::kIgnored);
  ASSERT_TRUE(ignoring.ok()) << ignoring.status();
  EXPECT_EQ(ReadInside(ignoring->fd.get(), conf), "0");
}

}  // namespace
}  // namespace pinion::os
