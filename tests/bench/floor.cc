// The kernel's part of starting a pod with one container, and nothing else:
// network namespace, macvlan, address, clone3 with all namespaces, overlay,
// /proc, pivot_root, exec. What a runtime takes beyond this is its own.
//
//   floor --scratch DIR [--parent DEVICE] [--rounds N] [--label NAME]
//         [--tree CGROUP]
//
// DIR/rootfs is an unpacked image with /proc; this program copies itself there
// as /floor-exec, which is what the container runs. Without a parent device
// the pod is one on the host's network. Prints two lines of JSON
// (tests/bench/meters.h): every sample in milliseconds, and CPU milliseconds
// per round, of the machine and, if a tree is named (this program must be in
// it), of the tree.

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/bench/bench_flags.h"
#include "tests/bench/meters.h"

namespace pinion::bench {
namespace {

// In the parent and after the clone alike: no output is flushed twice.
[[noreturn]] void FailErrno(const char* what) {
  std::perror(what);
  _exit(1);
}

// Netlink messages one after another in one buffer.
class Batch {
 public:
  nlmsghdr* Begin(uint16_t type, uint16_t flags, const void* body,
                  size_t size) {
    Finish();
    start_ = used_;
    auto* header = reinterpret_cast<nlmsghdr*>(data_ + used_);
    std::memset(header, 0, sizeof(*header));
    header->nlmsg_type = type;
    header->nlmsg_flags =
        static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    used_ += NLMSG_HDRLEN;
    std::memcpy(data_ + used_, body, size);
    used_ += NLMSG_ALIGN(size);
    ++count_;
    return header;
  }
  size_t Attribute(uint16_t type, const void* value, size_t size) {
    const size_t at = used_;
    rtattr attribute = {};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    std::memcpy(data_ + used_, &attribute, sizeof(attribute));
    if (size > 0) std::memcpy(data_ + used_ + RTA_LENGTH(0), value, size);
    used_ += RTA_ALIGN(attribute.rta_len);
    return at;
  }
  void Close(size_t nest) {
    reinterpret_cast<rtattr*>(data_ + nest)->rta_len =
        static_cast<uint16_t>(used_ - nest);
  }
  void Finish() {
    if (count_ == 0) return;
    reinterpret_cast<nlmsghdr*>(data_ + start_)->nlmsg_len =
        static_cast<uint32_t>(used_ - start_);
  }
  // Sends all, waits for every answer.
  void Run(int fd) {
    Finish();
    if (send(fd, data_, used_, 0) < 0) FailErrno("netlink send");
    char answer[8192];
    for (int left = count_; left > 0;) {
      auto n = recv(fd, answer, sizeof(answer), 0);
      if (n < 0) FailErrno("netlink receive");
      for (auto* h = reinterpret_cast<nlmsghdr*>(answer); NLMSG_OK(h, n);
           h = NLMSG_NEXT(h, n)) {
        if (h->nlmsg_type != NLMSG_ERROR) continue;
        const int error = static_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
        if (error != 0) {
          errno = -error;
          FailErrno("netlink answer");
        }
        --left;
      }
    }
  }

 private:
  alignas(NLMSG_ALIGNTO) char data_[4096];
  size_t used_ = 0;
  size_t start_ = 0;
  int count_ = 0;
};

int RouteSocket() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) FailErrno("netlink socket");
  return fd;
}

void MakeMacvlan(int route, unsigned parent, int netns) {
  Batch batch;
  ifinfomsg link = {};
  batch.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
  batch.Attribute(IFLA_LINK, &parent, sizeof(parent));
  batch.Attribute(IFLA_NET_NS_FD, &netns, sizeof(netns));
  batch.Attribute(IFLA_IFNAME, "eth0", 5);
  const size_t info = batch.Attribute(IFLA_LINKINFO, nullptr, 0);
  batch.Attribute(IFLA_INFO_KIND, "macvlan", 7);
  const size_t data = batch.Attribute(IFLA_INFO_DATA, nullptr, 0);
  const uint32_t mode = MACVLAN_MODE_BRIDGE;
  batch.Attribute(IFLA_MACVLAN_MODE, &mode, sizeof(mode));
  batch.Close(data);
  batch.Close(info);
  batch.Run(route);
}

// In the pod's namespace: address, both links up, default route.
void Configure(unsigned address) {
  const int route = RouteSocket();
  const unsigned eth0 = if_nametoindex("eth0");
  Batch batch;
  ifaddrmsg addr = {};
  addr.ifa_family = AF_INET;
  addr.ifa_prefixlen = 16;
  addr.ifa_index = eth0;
  const in_addr ip = {htonl(0x0a800000U + address)};
  batch.Begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &addr, sizeof(addr));
  batch.Attribute(IFA_LOCAL, &ip, sizeof(ip));
  batch.Attribute(IFA_ADDRESS, &ip, sizeof(ip));
  for (const unsigned index : {1U, eth0}) {
    ifinfomsg up = {};
    up.ifi_index = static_cast<int>(index);
    up.ifi_flags = IFF_UP;
    up.ifi_change = IFF_UP;
    batch.Begin(RTM_NEWLINK, 0, &up, sizeof(up));
  }
  rtmsg default_route = {};
  default_route.rtm_family = AF_INET;
  default_route.rtm_table = RT_TABLE_MAIN;
  default_route.rtm_protocol = RTPROT_STATIC;
  default_route.rtm_scope = RT_SCOPE_UNIVERSE;
  default_route.rtm_type = RTN_UNICAST;
  const in_addr gateway = {htonl(0x0a80fffeU)};
  batch.Begin(RTM_NEWROUTE, NLM_F_CREATE, &default_route,
              sizeof(default_route));
  batch.Attribute(RTA_GATEWAY, &gateway, sizeof(gateway));
  batch.Attribute(RTA_OIF, &eth0, sizeof(eth0));
  batch.Run(route);
  close(route);
}

void EnterRoot(const std::string& scratch) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    FailErrno("make / a slave");
  }
  if (chdir(scratch.c_str()) != 0) FailErrno("chdir");
  if (mount("overlay", "merged", "overlay", 0,
            "lowerdir=rootfs,upperdir=upper,workdir=work") != 0) {
    FailErrno("mount overlay");
  }
  if (chdir("merged") != 0) FailErrno("chdir merged");
  if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            nullptr) != 0) {
    FailErrno("mount proc");
  }
  if (syscall(SYS_pivot_root, ".", ".") != 0) FailErrno("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) FailErrno("umount old root");
}

struct Floor {
  std::string scratch;
  unsigned parent = 0;  // Interface index; 0: the host's network.
};

[[noreturn]] void RunContainer(const Floor& floor, unsigned address, int go) {
  char byte = 0;
  if (read(go, &byte, 1) != 1) _exit(1);
  if (floor.parent != 0) Configure(address);
  EnterRoot(floor.scratch);
  char name[] = "floor-exec";
  char* const argv[] = {name, nullptr};
  execve("/floor-exec", argv, nullptr);
  FailErrno("exec /floor-exec");
}

// Gives the child its network, lets it go, waits until it has exec'ed.
void Release(const Floor& floor, pid_t pid, int go, int report) {
  int netns = -1;
  int route = -1;
  if (floor.parent != 0) {
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
    netns = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    route = RouteSocket();
    MakeMacvlan(route, floor.parent, netns);
  }
  if (write(go, "g", 1) != 1) FailErrno("write");
  char byte = 0;
  (void)!read(report, &byte, 1);  // End of file.
  for (const int fd : {netns, route}) {
    if (fd >= 0) close(fd);
  }
}

// One pod: returns the milliseconds until its program runs.
double Round(const Floor& floor, unsigned address) {
  for (const char* dir : {"/upper", "/work", "/merged"}) {
    std::filesystem::create_directory(floor.scratch + dir);
  }
  int go[2];
  int report[2];
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0) {
    FailErrno("pipe2");
  }
  const Stopwatch watch;
  clone_args args = {};
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
               CLONE_NEWCGROUP;
  if (floor.parent != 0) args.flags |= CLONE_NEWNET;
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
  if (pid < 0) FailErrno("clone3");
  if (pid == 0) RunContainer(floor, address, go[0]);
  close(report[1]);
  Release(floor, pid, go[1], report[0]);
  const double took = watch.Ms();
  kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFSIGNALED(status)) Fail("the floor's process did not run");
  for (const int fd : {go[0], go[1], report[0]}) close(fd);
  for (const char* dir : {"/upper", "/work", "/merged"}) {
    std::filesystem::remove_all(floor.scratch + dir);
  }
  return took;
}

int Main(int argc, char** argv) {
  Floor floor;
  std::string parent;
  std::string label = "floor";
  std::string tree;
  int rounds = 100;
  ParseFlags(argc, argv,
             {{"--scratch", &floor.scratch},
              {"--parent", &parent},
              {"--label", &label},
              {"--tree", &tree}},
             {{"--rounds", &rounds}});
  if (floor.scratch.empty()) Fail("--scratch is needed");
  if (!parent.empty()) {
    floor.parent = if_nametoindex(parent.c_str());
    if (floor.parent == 0) Fail("no device " + parent);
  }
  std::filesystem::copy_file("/proc/self/exe",
                             floor.scratch + "/rootfs/floor-exec",
                             std::filesystem::copy_options::overwrite_existing);
  std::vector<double> samples;
  const CpuMeter cpu(tree);
  for (int i = 0; i < rounds; ++i) {
    samples.push_back(Round(floor, static_cast<unsigned>(i) + 1));
  }
  JsonLine(label, "cpu one by one")
      .Number("whole_machine_ms", (cpu.MachineMs() + cpu.OwnMs()) / rounds)
      .Number("whole_tree_ms", cpu.TreeMs() / rounds);
  JsonLine(label, "pod up").Numbers("samples", samples);
  return 0;
}

}  // namespace
}  // namespace pinion::bench

int main(int argc, char** argv) {
  if (std::strcmp(argv[0], "floor-exec") == 0) {
    while (true) pause();
  }
  return pinion::bench::Main(argc, argv);
}
