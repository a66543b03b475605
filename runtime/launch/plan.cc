#include "runtime/launch/plan.h"

#include <linux/filter.h>
#include <sys/stat.h>

#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

// Bits of `required` that this reader understands.
constexpr uint32_t kKnownRequired = kRequiresUserNamespace |
                                    kRequiresImageMounts |
                                    kRequiresMountAttributes | kRequiresRestore;

// Of the first version; later fields read as zeros where they are missing.
constexpr uint32_t kOldestHeaderSize = 336;
static_assert(sizeof(WireHeader) >= kOldestHeaderSize);

}  // namespace

bool Plan::CheckString(const WireString& s) const {
  if (s.offset == 0) return s.size == 0;
  if (s.offset >= size_ || s.size >= size_ - s.offset) return false;
  const char* text = base_ + s.offset;
  return text[s.size] == '\0' && memchr(text, '\0', s.size) == nullptr;
}

bool Plan::CheckArray(const WireArray& array) const {
  if (array.count == 0) return true;
  if (array.record_size == 0 || array.offset > size_) return false;
  const uint64_t bytes = uint64_t{array.count} * array.record_size;
  return bytes <= size_ - array.offset;
}

bool Plan::CheckStrings(const WireArray& array) const {
  if (!CheckArray(array)) return false;
  for (const WireString s : Array<WireString>(array)) {
    if (!CheckString(s)) return false;
  }
  return true;
}

bool Plan::CheckRecords() const {
  const WireHeader& h = header_;
  if (!CheckArray(h.kernel_mounts) || !CheckArray(h.devices) ||
      !CheckArray(h.symlinks) || !CheckArray(h.mounts)) {
    return false;
  }
  for (const WireKernelMount m : Array<WireKernelMount>(h.kernel_mounts)) {
    if (!CheckString(m.type) || !CheckString(m.target) ||
        !CheckString(m.data)) {
      return false;
    }
  }
  for (const WireDevice d : Array<WireDevice>(h.devices)) {
    if (!CheckString(d.path)) return false;
    if (d.type != S_IFCHR && d.type != S_IFBLK) return false;
  }
  for (const WireSymlink s : Array<WireSymlink>(h.symlinks)) {
    if (!CheckString(s.path) || !CheckString(s.target)) return false;
  }
  for (const WireMount m : Array<WireMount>(h.mounts)) {
    if (!CheckString(m.source) || !CheckString(m.target) ||
        !CheckString(m.overlay_data) || !CheckString(m.sub_path)) {
      return false;
    }
    if (m.propagation > static_cast<uint32_t>(Propagation::kShared)) {
      return false;
    }
  }
  return true;
}

bool Plan::Parse(const void* data, size_t size) {
  uint32_t start[4];  // magic, header_size, total_size, required
  if (size < sizeof(start) || size > kMaxPlanSize) return false;
  memcpy(start, data, sizeof(start));
  const uint32_t header_size = start[1];
  if (start[0] != kPlanMagic || header_size < kOldestHeaderSize ||
      header_size > size || start[2] != size ||
      (start[3] & ~kKnownRequired) != 0) {
    return false;
  }
  base_ = static_cast<const char*>(data);
  size_ = size;
  header_ = {};
  memcpy(&header_, data,
         header_size < sizeof(header_) ? header_size : sizeof(header_));

  const WireHeader& h = header_;
  if (h.kind > static_cast<uint32_t>(Kind::kRestore) ||
      h.pid_namespace > static_cast<uint32_t>(PidNamespace::kTarget) ||
      h.root_propagation > static_cast<uint32_t>(Propagation::kShared)) {
    return false;
  }
  const WireString strings[] = {h.working_dir, h.apparmor_profile,
                                h.base_dir,    h.overlay_data,
                                h.upper,       h.work};
  for (const WireString& s : strings) {
    if (!CheckString(s)) return false;
  }
  const WireArray lists[] = {h.argv, h.env, h.lowers, h.masked_paths,
                             h.readonly_paths};
  for (const WireArray& list : lists) {
    if (!CheckStrings(list)) return false;
  }
  if (!CheckArray(h.groups) || !CheckArray(h.rlimits) ||
      !CheckArray(h.seccomp_program) || !CheckRecords()) {
    return false;
  }
  if (h.seccomp_program.count != 0 &&
      (h.seccomp_program.record_size != sizeof(struct sock_filter) ||
       h.seccomp_program.count > BPF_MAXINSNS)) {
    return false;
  }
  return h.argv.count > 0 && Array<WireString>(h.argv)[0].size > 0;
}

}  // namespace pinion::launch
