// The launch plan's format, and its reader.
//
// A plan is one block of bytes without pointers: a header, then arrays of
// fixed-size records and NUL-terminated strings, named by their offsets from
// the start of the block. Little-endian as the machine; it never leaves it.
//
// Append-only, so that an old monitor reads a newer daemon's plan and the
// other way round: the header says its own size and each array the size of
// its records. A reader takes the part it knows, and zeros for what is not
// there. What must not be ignored sets a bit in `required`: a reader that
// does not know the bit refuses the plan.
//
// The reader trusts nothing: Parse checks every offset, size and string
// once; afterwards access is unchecked. The bytes must not change while a
// Plan looks at them (a sealed memfd). No heap, no libstdc++: it runs after
// clone.

#ifndef PINION_RUNTIME_LAUNCH_PLAN_H_
#define PINION_RUNTIME_LAUNCH_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pinion::launch {

inline constexpr uint32_t kPlanMagic = 0x4e4c5050;  // "PPLN"
inline constexpr size_t kMaxPlanSize = size_t{64} << 20;

struct WireString {
  uint32_t offset = 0;  // 0: empty
  uint32_t size = 0;    // without the NUL that follows
};

struct WireArray {
  uint32_t offset = 0;
  uint32_t count = 0;
  uint32_t record_size = 0;
  uint32_t reserved = 0;
};

enum WireFlags : uint32_t {
  kFlagNoNewPrivs = 1u << 0,
  kFlagTerminal = 1u << 1,
  kFlagSetOomScoreAdj = 1u << 2,
  kFlagReadonlyRootfs = 1u << 3,
  kFlagOwnCgroupNamespace = 1u << 4,
  kFlagVolatileRootfs = 1u << 5,
  kFlagHostSysfs = 1u << 6,
};

// Bits of `required`.
enum WireRequired : uint32_t {
  kRequiresUserNamespace = 1u << 0,
  kRequiresImageMounts = 1u << 1,
  kRequiresMountAttributes = 1u << 2,  // kMountNoSuid, …NoDev, …NoExec
  kRequiresRestore = 1u << 8,          // Kind::kRestore
};

struct WireRlimit {
  uint64_t soft = 0;
  uint64_t hard = 0;
  int32_t resource = 0;
  uint32_t reserved = 0;
};

struct WireKernelMount {
  uint64_t flags = 0;
  WireString type;
  WireString target;
  WireString data;
};

struct WireDevice {
  WireString path;
  uint32_t type = 0;  // S_IFCHR or S_IFBLK
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct WireSymlink {
  WireString path;
  WireString target;
};

enum WireMountFlags : uint32_t {
  kMountReadonly = 1u << 0,
  kMountRecursiveReadonly = 1u << 1,
  // The source is the pod's /dev/shm, not a path of the host.
  kMountPodShm = 1u << 2,
  kMountMappedIds = 1u << 3,
  // The source is a layer of an image or, with overlay_data, several.
  kMountImage = 1u << 4,
  kMountNoSuid = 1u << 5,
  kMountNoDev = 1u << 6,
  kMountNoExec = 1u << 7,
};

struct WireMount {
  WireString source;
  WireString target;
  uint32_t flags = 0;
  uint32_t propagation = 0;  // Propagation
  // With kMountImage: mount(2)'s data, relative to base_dir as is a single
  // layer in `source`; and what of it is mounted.
  WireString overlay_data;
  WireString sub_path;
};

struct WireHeader {
  uint32_t magic = kPlanMagic;
  uint32_t header_size = 0;
  uint32_t total_size = 0;
  uint32_t required = 0;
  uint32_t kind = 0;           // Kind
  uint32_t pid_namespace = 0;  // PidNamespace
  uint32_t flags = 0;          // WireFlags
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = 0;
  int32_t oom_score_adj = 0;
  int32_t target_pid = 0;
  uint64_t target_start_ticks = 0;
  uint64_t cap_bounding = 0;
  uint64_t cap_effective = 0;
  uint64_t cap_permitted = 0;
  uint64_t cap_ambient = 0;
  WireString working_dir;
  WireString apparmor_profile;
  WireString base_dir;
  // mount(2)'s data for the overlay; empty where it would not fit a page:
  // then the overlay is configured piece by piece from the four below.
  WireString overlay_data;
  WireString upper;
  WireString work;
  WireArray seccomp_program;  // struct sock_filter
  WireArray argv;             // WireString
  WireArray env;              // WireString
  WireArray groups;           // uint32_t
  WireArray rlimits;          // WireRlimit
  WireArray lowers;           // WireString
  WireArray kernel_mounts;    // WireKernelMount
  WireArray devices;          // WireDevice
  WireArray symlinks;         // WireSymlink
  WireArray mounts;           // WireMount
  WireArray masked_paths;     // WireString
  WireArray readonly_paths;   // WireString
  uint32_t root_propagation = 0;
  uint32_t seccomp_flags = 0;
  // With kRequiresUserNamespace: ids on the host.
  uint32_t host_root_uid = 0;
  uint32_t host_root_gid = 0;
  uint32_t host_stdio_uid = 0;
  uint32_t reserved2 = 0;
};
static_assert(sizeof(WireHeader) == 12 * 4 + 5 * 8 + 6 * 8 + 12 * 16 + 24,
              "no padding: the layout is the format");

// Records of one array, copied out one by one: alignment does not matter,
// and a record that is shorter than T is filled up with zeros.
template <typename T>
class Records {
 public:
  class Iterator {
   public:
    Iterator(const Records* records, uint32_t index)
        : records_(records), index_(index) {}
    T operator*() const { return (*records_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const {
      return index_ != other.index_;
    }

   private:
    const Records* records_;
    uint32_t index_;
  };

  Records(const char* base, const WireArray& array)
      : base_(base + array.offset),
        count_(array.count),
        stride_(array.record_size) {}

  uint32_t size() const { return count_; }
  T operator[](uint32_t i) const {
    T record = {};
    memcpy(&record, base_ + size_t{i} * stride_,
           stride_ < sizeof(T) ? stride_ : sizeof(T));
    return record;
  }
  Iterator begin() const { return Iterator(this, 0); }
  Iterator end() const { return Iterator(this, count_); }

 private:
  const char* base_;
  uint32_t count_;
  uint32_t stride_;
};

class Plan {
 public:
  // False if the bytes are not a plan that this reader can execute.
  bool Parse(const void* data, size_t size);

  const WireHeader& header() const { return header_; }
  bool Has(WireFlags flag) const { return (header_.flags & flag) != 0; }
  bool HasUserNamespace() const {
    return (header_.required & kRequiresUserNamespace) != 0;
  }

  const char* String(const WireString& s) const {
    return s.offset == 0 ? "" : base_ + s.offset;
  }
  template <typename T>
  Records<T> Array(const WireArray& array) const {
    return Records<T>(base_, array);
  }
  const char* Bytes(const WireArray& array) const {
    return base_ + array.offset;
  }

 private:
  bool CheckString(const WireString& s) const;
  bool CheckArray(const WireArray& array) const;
  bool CheckStrings(const WireArray& array) const;
  bool CheckRecords() const;

  const char* base_ = nullptr;
  size_t size_ = 0;
  WireHeader header_;
};

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_PLAN_H_
