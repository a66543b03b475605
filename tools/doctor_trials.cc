#include "tools/doctor_trials.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <netlink/route/link.h>
#include <netlink/route/link/ipvlan.h>
#include <netlink/route/link/macvlan.h>
#include <netlink/route/link/veth.h>
#include <netlink/socket.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"

namespace pinion::tools {
namespace {

// Runs `body` in a child and brings its error back through a pipe.
Trial InChild(const std::function<absl::Status()>& body) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return {false, std::string(os::ErrnoStatus("pipe2").message())};
  }
  os::UniqueFd reader(ends[0]);
  os::UniqueFd writer(ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    return {false, std::string(os::ErrnoStatus("fork").message())};
  }
  if (child == 0) {
    const absl::Status status = body();
    if (!status.ok()) {
      (void)os::WriteAll(writer.get(), std::string(status.message()), "pipe");
    }
    _exit(status.ok() ? 0 : 1);
  }
  writer.Reset();
  const auto error = os::ReadFd(reader.get(), "pipe");
  int how = 0;
  waitpid(child, &how, 0);
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return {true, ""};
  if (error.ok() && !error->empty()) return {false, *error};
  return {false, "the trial ended without a word"};
}

// As containers are started. (unshare refuses CLONE_NEWUSER to a process with
// threads.)
Trial TryClone(uint64_t flags) {
  clone_args args = {};
  args.flags = flags;
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
  if (pid == 0) _exit(0);
  if (pid < 0) {
    return {false, std::string(os::ErrnoStatus("clone3").message())};
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return {true, ""};
}

absl::Status Configure(int fs, const char* key, const std::string& value) {
  if (fsconfig(fs, FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("fsconfig overlay ", key));
  }
  return absl::OkStatus();
}

absl::Status MountOverlay(const std::string& scratch) {
  // Even a detached mount gets a namespace that ends with this child.
  if (unshare(CLONE_NEWNS) != 0) return os::ErrnoStatus("unshare mnt");
  for (const char* name : {"lower", "upper", "work"}) {
    PINION_RETURN_IF_ERROR(
        os::MakeDirs(absl::StrCat(scratch, "/", name), 0755));
  }
  const os::UniqueFd fs(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!fs.valid()) return os::ErrnoStatus("fsopen overlay");
  for (const auto& [key, name] :
       {std::pair("lowerdir", "lower"), std::pair("upperdir", "upper"),
        std::pair("workdir", "work")}) {
    PINION_RETURN_IF_ERROR(
        Configure(fs.get(), key, absl::StrCat(scratch, "/", name)));
  }
  if (fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return os::ErrnoStatus("fsconfig create overlay");
  }
  const os::UniqueFd mount(fsmount(fs.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount.valid()) return os::ErrnoStatus("fsmount overlay");
  // What an upper on a file system without xattrs or whiteouts refuses.
  if (mkdirat(mount.get(), "made", 0755) != 0) {
    return os::ErrnoStatus("mkdirat in the overlay");
  }
  return absl::OkStatus();
}

struct FreeSocket {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct PutLink {
  void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};

absl::Status NetlinkError(int code, const std::string& what) {
  return code >= 0
             ? absl::OkStatus()
             : absl::InternalError(absl::StrCat(what, ": ", nl_geterror(code)));
}

// Adds the link that `alloc` gives on a veth in a new network namespace.
absl::Status MakeOnVeth(rtnl_link* (*alloc)(), const std::string& kind) {
  if (unshare(CLONE_NEWNET) != 0) return os::ErrnoStatus("unshare net");
  const std::unique_ptr<nl_sock, FreeSocket> socket(nl_socket_alloc());
  if (socket == nullptr) return absl::InternalError("nl_socket_alloc failed");
  PINION_RETURN_IF_ERROR(NetlinkError(nl_connect(socket.get(), NETLINK_ROUTE),
                                      "connect to rtnetlink"));
  PINION_RETURN_IF_ERROR(NetlinkError(
      rtnl_link_veth_add(socket.get(), "pn-parent", "pn-peer", getpid()),
      "make a veth pair"));
  rtnl_link* found = nullptr;
  PINION_RETURN_IF_ERROR(
      NetlinkError(rtnl_link_get_kernel(socket.get(), 0, "pn-parent", &found),
                   "find the veth"));
  const std::unique_ptr<rtnl_link, PutLink> parent(found);
  const std::unique_ptr<rtnl_link, PutLink> link(alloc());
  if (link == nullptr) {
    return absl::InternalError(
        absl::StrCat("no memory for a link of kind ", kind));
  }
  rtnl_link_set_link(link.get(), rtnl_link_get_ifindex(parent.get()));
  rtnl_link_set_name(link.get(), "pn-child");
  return NetlinkError(
      rtnl_link_add(socket.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL),
      absl::StrCat("make a link of kind ", kind));
}

rtnl_link* NewMacvlan() {
  rtnl_link* const link = rtnl_link_macvlan_alloc();
  if (link != nullptr) {
    rtnl_link_macvlan_set_mode(
        link, static_cast<uint32_t>(rtnl_link_macvlan_str2mode("bridge")));
  }
  return link;
}

rtnl_link* NewIpvlan() {
  rtnl_link* const link = rtnl_link_ipvlan_alloc();
  if (link != nullptr) {
    rtnl_link_ipvlan_set_mode(
        link, static_cast<uint16_t>(rtnl_link_ipvlan_str2mode("l2")));
  }
  return link;
}

absl::Status LoadDeviceProgram() {
  // r0 = 1; exit: allows everything.
  bpf_insn program[2] = {};
  program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  program[0].imm = 1;
  program[1].code = BPF_JMP | BPF_EXIT;
  const char license[] = "Apache-2.0";
  bpf_attr attr = {};
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uint64_t>(program);
  attr.insn_cnt = 2;
  attr.license = reinterpret_cast<uint64_t>(license);
  const os::UniqueFd fd(
      static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))));
  return fd.valid() ? absl::OkStatus()
                    : os::ErrnoStatus("bpf load of a cgroup device program");
}

}  // namespace

Trial TryOverlay(const std::string& directory) {
  // Without a trailing slash: the empty string is the root.
  std::string existing = directory == "/" ? std::string() : directory;
  while (!existing.empty() && access(existing.c_str(), F_OK) != 0) {
    existing.resize(existing.rfind('/'));
  }
  std::string scratch = absl::StrCat(existing, "/.pinion-doctor-XXXXXX");
  if (mkdtemp(scratch.data()) == nullptr) {
    return {false,
            std::string(
                os::ErrnoStatus(absl::StrCat("mkdtemp ", scratch)).message())};
  }
  const Trial trial = InChild([&] { return MountOverlay(scratch); });
  (void)os::RemoveTreeAt(AT_FDCWD, scratch);
  return trial;
}

std::vector<NamespaceTrial> TryNamespaces() {
  constexpr struct {
    const char* name;
    uint64_t flag;
  } kKinds[] = {{"mnt", CLONE_NEWNS},   {"pid", CLONE_NEWPID},
                {"net", CLONE_NEWNET},  {"ipc", CLONE_NEWIPC},
                {"uts", CLONE_NEWUTS},  {"cgroup", CLONE_NEWCGROUP},
                {"user", CLONE_NEWUSER}};
  std::vector<NamespaceTrial> trials;
  for (const auto& kind : kKinds) {
    trials.push_back({kind.name, TryClone(kind.flag)});
  }
  return trials;
}

Trial TryMacvlan() {
  return InChild([] { return MakeOnVeth(NewMacvlan, "macvlan"); });
}

Trial TryIpvlan() {
  return InChild([] { return MakeOnVeth(NewIpvlan, "ipvlan"); });
}

Trial TryCgroupBpf() { return InChild(LoadDeviceProgram); }

}  // namespace pinion::tools
