#include "runtime/launch/plan_writer.h"

#include <linux/filter.h>
#include <sys/stat.h>
#include <unistd.h>

#include <type_traits>

#include "runtime/launch/plan.h"

namespace pinion::launch {
namespace {

// mount(2) copies one page of data and wants a NUL in it.
constexpr size_t kMaxMountData = 4095;

class Writer {
 public:
  Writer() : block_(sizeof(WireHeader), '\0') {}

  WireString String(const std::string& text) {
    if (text.empty()) return {};
    const WireString s = {Offset(), static_cast<uint32_t>(text.size())};
    // What follows a NUL could not be executed as it was checked, and the
    // reader refuses it.
    block_.append(text.data(), text.size());
    block_.push_back('\0');
    return s;
  }

  template <typename T>
  WireArray Array(const std::vector<T>& records) {
    static_assert(std::is_trivially_copyable_v<T>);
    return Bytes(records.data(), records.size(), sizeof(T));
  }

  WireArray Bytes(const void* data, size_t count, size_t record_size) {
    if (count == 0) return {};
    block_.resize((block_.size() + 7) / 8 * 8);
    const WireArray array = {Offset(), static_cast<uint32_t>(count),
                             static_cast<uint32_t>(record_size), 0};
    block_.append(static_cast<const char*>(data), count * record_size);
    return array;
  }

  WireArray Strings(const std::vector<std::string>& texts) {
    std::vector<WireString> records;
    records.reserve(texts.size());
    for (const std::string& text : texts) {
      // Also an empty argument has its place, so it needs an offset.
      if (text.empty()) {
        records.push_back({Offset(), 0});
        block_.push_back('\0');
      } else {
        records.push_back(String(text));
      }
    }
    return Array(records);
  }

  std::string Finish(WireHeader header) {
    header.header_size = sizeof(header);
    header.total_size = Offset();
    block_.replace(0, sizeof(header), reinterpret_cast<const char*>(&header),
                   sizeof(header));
    return std::move(block_);
  }

 private:
  uint32_t Offset() const { return static_cast<uint32_t>(block_.size()); }

  std::string block_;
};

// The first three options are what a kernel may have switched on by default,
// and what attributes in a foreign layer could make use of. The same in
// MountPieceByPiece.
std::string OverlayData(const Rootfs& rootfs) {
  std::string data = "redirect_dir=nofollow,metacopy=off,index=off,lowerdir=";
  for (size_t i = 0; i < rootfs.lowers.size(); ++i) {
    if (i > 0) data += ':';
    data += rootfs.lowers[i];
  }
  if (!rootfs.upper.empty()) {
    data += ",upperdir=" + rootfs.upper + ",workdir=" + rootfs.work;
    if (rootfs.is_volatile) data += ",volatile";
  }
  return data.size() <= kMaxMountData ? data : std::string();
}

uint32_t Flags(const LaunchSpec& spec) {
  uint32_t flags = 0;
  if (spec.no_new_privs) flags |= kFlagNoNewPrivs;
  if (spec.terminal) flags |= kFlagTerminal;
  if (spec.set_oom_score_adj) flags |= kFlagSetOomScoreAdj;
  if (spec.rootfs.readonly) flags |= kFlagReadonlyRootfs;
  if (spec.own_cgroup_namespace) flags |= kFlagOwnCgroupNamespace;
  if (spec.rootfs.is_volatile) flags |= kFlagVolatileRootfs;
  if (spec.user_namespace.host_sysfs) flags |= kFlagHostSysfs;
  return flags;
}

void AddImage(const BindMount& m, Writer& writer, WireMount& wire) {
  if (m.image_layers.size() == 1) {
    wire.source = writer.String(m.image_layers.front());
  } else {
    Rootfs view;
    view.lowers = m.image_layers;
    wire.overlay_data = writer.String(OverlayData(view));
  }
  wire.sub_path =
      writer.String(m.image_sub_path.empty() ? "." : m.image_sub_path);
}

void AddMounts(const LaunchSpec& spec, Writer& writer, WireHeader& header) {
  std::vector<WireKernelMount> kernel_mounts;
  for (const KernelMount& m : spec.kernel_mounts) {
    kernel_mounts.push_back({m.flags, writer.String(m.type),
                             writer.String(m.target), writer.String(m.data)});
  }
  header.kernel_mounts = writer.Array(kernel_mounts);

  std::vector<WireDevice> devices;
  for (const DeviceNode& d : spec.devices) {
    const uint32_t type = d.type == 'b' ? S_IFBLK : S_IFCHR;
    devices.push_back(
        {writer.String(d.path), type, d.major, d.minor, d.mode, d.uid, d.gid});
  }
  header.devices = writer.Array(devices);

  std::vector<WireSymlink> symlinks;
  for (const Symlink& s : spec.symlinks) {
    symlinks.push_back({writer.String(s.path), writer.String(s.target)});
  }
  header.symlinks = writer.Array(symlinks);

  std::vector<WireMount> mounts;
  for (const BindMount& m : spec.mounts) {
    uint32_t flags = 0;
    if (m.readonly) flags |= kMountReadonly;
    if (m.recursive_readonly) flags |= kMountRecursiveReadonly;
    if (m.pod_shm) flags |= kMountPodShm;
    if (m.mapped_ids) flags |= kMountMappedIds;
    if (m.nosuid) flags |= kMountNoSuid;
    if (m.nodev) flags |= kMountNoDev;
    if (m.noexec) flags |= kMountNoExec;
    if (m.nosuid || m.nodev || m.noexec) {
      header.required |= kRequiresMountAttributes;
    }
    WireMount wire = {};
    wire.source = writer.String(m.source);
    wire.target = writer.String(m.target);
    wire.propagation = static_cast<uint32_t>(m.propagation);
    if (!m.image_layers.empty()) {
      flags |= kMountImage;
      header.required |= kRequiresImageMounts;
      AddImage(m, writer, wire);
    }
    wire.flags = flags;
    mounts.push_back(wire);
  }
  header.mounts = writer.Array(mounts);
}

void AddRootfs(const LaunchSpec& spec, Writer& writer, WireHeader& header) {
  const Rootfs& rootfs = spec.rootfs;
  header.base_dir = writer.String(rootfs.base_dir);
  header.overlay_data = writer.String(OverlayData(rootfs));
  header.upper = writer.String(rootfs.upper);
  header.work = writer.String(rootfs.work);
  header.lowers = writer.Strings(rootfs.lowers);
  header.root_propagation = static_cast<uint32_t>(rootfs.propagation);
  header.masked_paths = writer.Strings(spec.masked_paths);
  header.readonly_paths = writer.Strings(spec.readonly_paths);
}

}  // namespace

std::string EncodePlan(const LaunchSpec& spec) {
  Writer writer;
  WireHeader header;
  header.kind = static_cast<uint32_t>(spec.kind);
  header.pid_namespace = static_cast<uint32_t>(spec.pid_namespace);
  header.flags = Flags(spec);
  if (spec.user_namespace.enabled) header.required |= kRequiresUserNamespace;
  header.host_root_uid = spec.user_namespace.root_uid;
  header.host_root_gid = spec.user_namespace.root_gid;
  header.host_stdio_uid = spec.user_namespace.stdio_uid;
  header.uid = spec.uid;
  header.gid = spec.gid;
  header.umask = spec.umask;
  header.oom_score_adj = spec.oom_score_adj;
  header.target_pid = spec.target_pid;
  header.target_start_ticks = spec.target_start_ticks;
  header.cap_bounding = spec.capabilities.bounding;
  header.cap_effective = spec.capabilities.effective;
  header.cap_permitted = spec.capabilities.permitted;
  header.cap_ambient = spec.capabilities.ambient;
  header.working_dir = writer.String(spec.working_dir);
  header.apparmor_profile = writer.String(spec.apparmor_profile);
  header.seccomp_program =
      writer.Bytes(spec.seccomp_program.data(),
                   spec.seccomp_program.size() / sizeof(struct sock_filter),
                   sizeof(struct sock_filter));
  header.seccomp_flags = spec.seccomp_flags;
  header.argv = writer.Strings(spec.argv);
  header.env = writer.Strings(spec.env);
  header.groups = writer.Array(spec.groups);
  std::vector<WireRlimit> rlimits;
  for (const Rlimit& r : spec.rlimits) {
    rlimits.push_back({r.soft, r.hard, r.resource, 0});
  }
  header.rlimits = writer.Array(rlimits);
  if (spec.kind == Kind::kRestore) header.required |= kRequiresRestore;
  if (spec.kind != Kind::kExec) {
    AddRootfs(spec, writer, header);
    AddMounts(spec, writer, header);
  }
  return writer.Finish(header);
}

}  // namespace pinion::launch
