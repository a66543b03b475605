#include "runtime/cgroup/device_filter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::cgroup {
namespace {

// Programs kept loaded; beyond that, an arbitrary one is dropped (the cgroups
// it is attached to keep it).
constexpr size_t kMaxLoaded = 64;
// The kernel attaches at most 64 programs to one cgroup (BPF_CGROUP_MAX_PROGS).
constexpr uint32_t kMaxAttached = 64;

// Kernels older than the header reject a longer attribute unless the rest is
// zero, which it is.
int64_t Bpf(int command, bpf_attr& attr) {
  return syscall(SYS_bpf, command, &attr, sizeof(attr));
}

bpf_attr Zeroed() {
  bpf_attr attr;
  // Padding included: the kernel checks every byte.
  std::memset(&attr, 0, sizeof(attr));
  return attr;
}

absl::Status BpfError(const std::string& what) {
  const int error = errno;
  if (error == EPERM || error == EACCES) {
    return absl::PermissionDeniedError(absl::StrCat(
        what, ": ", os::ErrnoName(error),
        " (a device filter needs CAP_BPF and CAP_NET_ADMIN or CAP_SYS_ADMIN)"));
  }
  if (error == EINVAL || error == ENOSYS) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": ", os::ErrnoName(error),
                     " (does this kernel have CONFIG_CGROUP_BPF?)"));
  }
  return os::ErrnoStatus(error, what);
}

absl::Status Detach(int cgroup, uint32_t id) {
  bpf_attr attr = Zeroed();
  attr.prog_id = id;
  const os::UniqueFd program(
      static_cast<int>(Bpf(BPF_PROG_GET_FD_BY_ID, attr)));
  if (!program.valid()) {
    if (errno == ENOENT) return absl::OkStatus();
    return BpfError(absl::StrCat("bpf get device program ", id));
  }
  attr = Zeroed();
  attr.target_fd = static_cast<uint32_t>(cgroup);
  attr.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  if (Bpf(BPF_PROG_DETACH, attr) != 0 && errno != ENOENT) {
    return BpfError(absl::StrCat("bpf detach device program ", id));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ProgramId(int program) {
  bpf_prog_info info;
  std::memset(&info, 0, sizeof(info));
  bpf_attr attr = Zeroed();
  attr.info.bpf_fd = static_cast<uint32_t>(program);
  attr.info.info_len = sizeof(info);
  attr.info.info = reinterpret_cast<uintptr_t>(&info);
  if (Bpf(BPF_OBJ_GET_INFO_BY_FD, attr) != 0) {
    return BpfError("bpf get info of a device program");
  }
  return info.id;
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> AttachedDevicePrograms(int cgroup) {
  std::vector<uint32_t> ids(kMaxAttached);
  bpf_attr attr = Zeroed();
  attr.query.target_fd = static_cast<uint32_t>(cgroup);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = reinterpret_cast<uintptr_t>(ids.data());
  attr.query.prog_cnt = kMaxAttached;
  if (Bpf(BPF_PROG_QUERY, attr) != 0) {
    return BpfError("bpf query device programs");
  }
  ids.resize(std::min(attr.query.prog_cnt, kMaxAttached));
  return ids;
}

absl::StatusOr<DeviceFilters::Loaded> DeviceFilters::Load(
    const std::vector<bpf_insn>& program) {
  std::string text(reinterpret_cast<const char*>(program.data()),
                   program.size() * sizeof(bpf_insn));
  const absl::MutexLock lock(&mutex_);
  const auto found = loaded_.find(text);
  if (found != loaded_.end()) return found->second;
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attr = Zeroed();
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uintptr_t>(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = reinterpret_cast<uintptr_t>(kLicense);
  std::strncpy(attr.prog_name, "pinion_devices", sizeof(attr.prog_name) - 1);
  // The descriptor is close-on-exec by itself.
  os::UniqueFd fd(static_cast<int>(Bpf(BPF_PROG_LOAD, attr)));
  if (!fd.valid()) return BpfError("bpf load device program");
  if (loaded_.size() >= kMaxLoaded) loaded_.erase(loaded_.begin());
  auto loaded = std::make_shared<const os::UniqueFd>(std::move(fd));
  loaded_.emplace(std::move(text), loaded);
  return loaded;
}

absl::Status DeviceFilters::Attach(int cgroup,
                                   const std::vector<bpf_insn>& program) {
  PINION_ASSIGN_OR_RETURN(const Loaded loaded, Load(program));
  PINION_ASSIGN_OR_RETURN(const std::vector<uint32_t> before,
                          AttachedDevicePrograms(cgroup));
  uint32_t own = 0;
  if (!before.empty()) {
    PINION_ASSIGN_OR_RETURN(own, ProgramId(loaded->get()));
  }
  // A program attached twice is refused (EINVAL): it is there already.
  if (std::find(before.begin(), before.end(), own) == before.end()) {
    // With several programs all must allow, so while both are attached the
    // stricter one holds.
    bpf_attr attr = Zeroed();
    attr.target_fd = static_cast<uint32_t>(cgroup);
    attr.attach_bpf_fd = static_cast<uint32_t>(loaded->get());
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (Bpf(BPF_PROG_ATTACH, attr) != 0) {
      return BpfError("bpf attach device program");
    }
  }
  for (const uint32_t id : before) {
    if (id == own) continue;
    PINION_RETURN_IF_ERROR(Detach(cgroup, id));
  }
  return absl::OkStatus();
}

}  // namespace pinion::cgroup
