#include "ipam/pool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "ipam/slot.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::ipam {
namespace {

constexpr char kMagic[8] = {'p', 'i', 'n', 'i', 'o', 'n', 'I', 'P'};
constexpr uint32_t kVersion = 2;
constexpr uint64_t kHeaderBytes = 4096;

static_assert(sizeof(OwnerBucket<StdAtomics>) == 16);

absl::StatusOr<std::string> BootId() {
  PINION_ASSIGN_OR_RETURN(
      std::string id,
      os::ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

// FNV-1a: enough to notice a flipped bit in the header.
uint64_t Checksum(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

// A release in another process may be a moment later than our clock's reading.
constexpr uint64_t kClockSlackMs = 60'000;

// In a full pool a bucket has half an owner on average, and more than the four
// that it has entries for in one of 6,000.
uint64_t BucketCount(uint64_t slots) { return std::bit_ceil(slots * 2); }

uint64_t WordsFor(uint64_t bits) { return (bits + 63) / 64; }

}  // namespace

struct PoolFile::Header {
  char magic[8];
  uint32_t version;
  uint32_t family;
  uint8_t first[16];
  uint64_t slot_count;
  uint64_t bucket_count;
  char boot_id[64];
  uint64_t checksum;  // of all bytes above
  alignas(64) std::atomic<uint64_t> cursor;
  std::atomic<uint64_t> usable;  // 0: not known

  uint64_t ExpectedChecksum() const {
    return Checksum(this, offsetof(Header, checksum));
  }

  // Whatever else is in the file, it leads nowhere outside of it.
  bool IsPlausible() const {
    if (family != 4 && family != 6) return false;
    if (slot_count == 0 || slot_count > IpRange::kMaxWindow ||
        bucket_count != BucketCount(slot_count) ||
        boot_id[sizeof(boot_id) - 1] != '\0') {
      return false;
    }
    return IpAddress::FromBytes(first, family == 4 ? 4 : 16)
        ->Plus(slot_count - 1)
        .has_value();
  }
};

struct PoolFile::Layout {
  explicit Layout(const Header& header)
      : stamps(kHeaderBytes + 8 * header.slot_count),
        buckets(stamps + 8 * header.slot_count),
        bitmap(buckets + 16 * header.bucket_count),
        summary(bitmap + 8 * WordsFor(header.slot_count)),
        total(summary + 8 * WordsFor(WordsFor(header.slot_count))) {}

  uint64_t slots = kHeaderBytes;
  uint64_t stamps;
  uint64_t buckets;
  uint64_t bitmap;
  uint64_t summary;
  uint64_t total;
};

PoolFile::PoolFile(void* mapping, const Header& header)
    : mapping_(mapping),
      bytes_(Layout(header).total),
      slot_count_(header.slot_count),
      bucket_count_(header.bucket_count),
      first_(*IpAddress::FromBytes(header.first, header.family == 4 ? 4 : 16)) {
  char* const base = static_cast<char*>(mapping);
  const Layout layout(header);
  slots_ = reinterpret_cast<std::atomic<uint64_t>*>(base + layout.slots);
  stamps_ = reinterpret_cast<std::atomic<uint64_t>*>(base + layout.stamps);
  buckets_ = reinterpret_cast<OwnerBucket<StdAtomics>*>(base + layout.buckets);
  bitmap_ = reinterpret_cast<std::atomic<uint64_t>*>(base + layout.bitmap);
  summary_ = reinterpret_cast<std::atomic<uint64_t>*>(base + layout.summary);
}

PoolFile::~PoolFile() { munmap(mapping_, bytes_); }

SlotMemory<StdAtomics> PoolFile::memory(const uint64_t* usable) {
  return {.slots = slots_,
          .slot_count = slot_count_,
          .buckets = buckets_,
          .bucket_count = bucket_count_,
          .bitmap = bitmap_,
          .summary = summary_,
          .cursor = &static_cast<Header*>(mapping_)->cursor,
          .usable = usable};
}

uint64_t PoolFile::usable() const {
  const uint64_t usable = static_cast<const Header*>(mapping_)->usable.load(
      std::memory_order_relaxed);
  return usable == 0 || usable > slot_count_ ? slot_count_ : usable;
}

void PoolFile::set_usable(uint64_t slots) {
  static_cast<Header*>(mapping_)->usable.store(slots,
                                               std::memory_order_relaxed);
}

absl::StatusOr<std::unique_ptr<PoolFile>> PoolFile::Map(int fd,
                                                        const std::string& name,
                                                        bool writable,
                                                        uint64_t now_ms) {
  const auto damaged = [&name](const std::string& why) {
    return absl::DataLossError(
        absl::StrCat("pool file ", name, " is damaged: ", why));
  };
  struct stat stat {};
  if (fstat(fd, &stat) != 0) return os::ErrnoStatus("fstat " + name);

  alignas(Header) char buffer[sizeof(Header)];
  const ssize_t got = pread(fd, buffer, sizeof(buffer), 0);
  if (got < 0) return os::ErrnoStatus("pread " + name);
  if (got != static_cast<ssize_t>(sizeof(buffer))) return damaged("too short");
  const auto& header = *reinterpret_cast<const Header*>(buffer);
  if (memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return damaged("no pool's magic number");
  }
  if (header.version != kVersion) {
    return damaged(absl::StrCat("version ", header.version));
  }
  if (header.checksum != header.ExpectedChecksum()) {
    return damaged("the header's checksum does not match");
  }
  if (!header.IsPlausible()) return damaged("impossible geometry");
  const Layout layout(header);
  if (static_cast<uint64_t>(stat.st_size) != layout.total) {
    return damaged(
        absl::StrCat(stat.st_size, " bytes instead of ", layout.total));
  }
  PINION_ASSIGN_OR_RETURN(const std::string boot_id, BootId());
  if (boot_id != header.boot_id) {
    return absl::FailedPreconditionError(
        absl::StrCat("pool file ", name, " is of an earlier boot"));
  }

  void* const mapping =
      mmap(nullptr, layout.total, writable ? PROT_READ | PROT_WRITE : PROT_READ,
           MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) return os::ErrnoStatus("mmap " + name);
  std::unique_ptr<PoolFile> file(new PoolFile(mapping, header));
  PINION_RETURN_IF_ERROR_AS(file->CheckSlots(now_ms), "pool file " + name);
  if (writable) {
    PINION_RETURN_IF_ERROR_AS(file->RepairLedgers(), "pool file " + name);
  }
  return file;
}

absl::Status PoolFile::CheckSlots(uint64_t now_ms) const {
  for (uint64_t i = 0; i < slot_count_; ++i) {
    const uint64_t word = slots_[i].load(std::memory_order_relaxed);
    if (!slot::IsValid(word, now_ms + kClockSlackMs)) {
      return absl::DataLossError(
          absl::StrCat("slot ", i, " is ", absl::Hex(word)));
    }
  }
  return absl::OkStatus();
}

absl::Status PoolFile::RepairLedgers() {
  // Crashes leave counts too high, by one each.
  constexpr uint32_t kMostLeftBehind = 1 << 20;
  std::vector<uint32_t> held(bucket_count_, 0);
  for (uint64_t i = 0; i < slot_count_; ++i) {
    const uint64_t word = slots_[i].load(std::memory_order_acquire);
    if (slot::TagOf(word) == slot::Tag::kOwned) {
      ++held[OwnerIndex<StdAtomics>::BucketOf(slot::OwnerOf(word),
                                              bucket_count_)];
    }
  }
  for (uint64_t i = 0; i < bucket_count_; ++i) {
    const uint64_t count =
        buckets_[i].ledger.load(std::memory_order_acquire) & kLedgerCountMask;
    if (count > held[i] + kMostLeftBehind) {
      return absl::DataLossError(
          absl::StrCat("bucket ", i, " counts ", count, " for ", held[i]));
    }
    // Another process may have released in between: then this makes the count
    // too high, which costs a search and is never wrong.
    if (count < held[i]) {
      buckets_[i].ledger.fetch_add(held[i] - count, std::memory_order_relaxed);
    }
  }
  return absl::OkStatus();
}

absl::Status PoolFile::Create(int directory, const std::string& name,
                              const IpRange& range) {
  // Made under another name and renamed: a crash leaves no half a pool.
  const std::string temporary = "." + name + ".new";
  if (unlinkat(directory, temporary.c_str(), 0) != 0 && errno != ENOENT) {
    return os::ErrnoStatus("unlinkat " + temporary);
  }
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd fd,
      os::OpenAt(directory, temporary, O_RDWR | O_CREAT | O_EXCL, 0600));
  absl::Status status = Fill(fd.get(), temporary, range);
  if (status.ok() &&
      renameat(directory, temporary.c_str(), directory, name.c_str()) != 0) {
    status = os::ErrnoStatus("renameat " + name);
  }
  // A full file system gets back what it had given.
  if (!status.ok()) (void)unlinkat(directory, temporary.c_str(), 0);
  return status;
}

absl::Status PoolFile::Fill(int fd, const std::string& name,
                            const IpRange& range) {
  alignas(Header) char buffer[sizeof(Header)] = {};
  auto& header = *reinterpret_cast<Header*>(buffer);
  memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.family = static_cast<uint32_t>(range.family());
  const std::array<uint8_t, 16> first = range.first().Bytes();
  memcpy(header.first, first.data(), first.size());
  header.slot_count = range.size();
  header.bucket_count = BucketCount(range.size());
  PINION_ASSIGN_OR_RETURN(std::string boot_id, BootId());
  boot_id.copy(header.boot_id, sizeof(header.boot_id) - 1);
  header.checksum = header.ExpectedChecksum();

  const int error =
      posix_fallocate(fd, 0, static_cast<off_t>(Layout(header).total));
  if (error != 0) return os::ErrnoStatus(error, "posix_fallocate " + name);
  return os::WriteAll(fd, {buffer, sizeof(buffer)}, name);
}

absl::Status PoolFile::CheckKind(int directory, const std::string& name) {
  struct stat stat {};
  if (fstatat(directory, name.c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0) {
    return os::ErrnoStatus("fstatat " + name);
  }
  if (S_ISREG(stat.st_mode)) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("pool file ", name, " is no regular file"));
}

absl::StatusOr<std::unique_ptr<PoolFile>> PoolFile::OpenOrCreate(
    const std::string& directory, const std::string& name, const IpRange& range,
    uint64_t now_ms) {
  PINION_RETURN_IF_ERROR(os::MakeDirs(directory, 0700));
  PINION_ASSIGN_OR_RETURN(os::UniqueFd dir, os::OpenAt(AT_FDCWD, directory,
                                                       O_RDONLY | O_DIRECTORY));
  if (flock(dir.get(), LOCK_EX) != 0) {
    return os::ErrnoStatus("flock " + directory);
  }

  const auto open = [&]() -> absl::StatusOr<std::unique_ptr<PoolFile>> {
    PINION_RETURN_IF_ERROR(CheckKind(dir.get(), name));
    PINION_ASSIGN_OR_RETURN(
        os::UniqueFd fd,
        os::OpenAt(dir.get(), name, O_RDWR | O_NOFOLLOW | O_NONBLOCK));
    PINION_ASSIGN_OR_RETURN(std::unique_ptr<PoolFile> file,
                            Map(fd.get(), name, true, now_ms));
    if (file->first_ != range.first() || file->slot_count_ != range.size()) {
      return absl::DataLossError(absl::StrCat(
          "pool file ", name, " is damaged: it is for another range"));
    }
    return file;
  };

  absl::StatusOr<std::unique_ptr<PoolFile>> file = open();
  if (file.ok()) return file;
  const absl::StatusCode code = file.status().code();
  std::string aside;
  if (code == absl::StatusCode::kDataLoss) {
    aside = absl::StrCat(name, ".corrupt-", Clock::Real().WallNanos());
    if (renameat(dir.get(), name.c_str(), dir.get(), aside.c_str()) != 0) {
      return os::ErrnoStatus("renameat " + aside);
    }
    Log(LogLevel::kError, "address pool set aside and made anew",
        {{"pool", name},
         {"kept_as", directory + "/" + aside},
         {"error", file.status().ToString()}});
  } else if (code != absl::StatusCode::kNotFound &&
             code != absl::StatusCode::kFailedPrecondition) {
    return file.status();
  }
  PINION_RETURN_IF_ERROR(Create(dir.get(), name, range));
  file = open();
  if (file.ok() && !aside.empty()) {
    (*file)->set_aside_ = directory + "/" + aside;
  }
  return file;
}

absl::StatusOr<std::unique_ptr<const PoolFile>> PoolFile::OpenForReading(
    const std::string& path, uint64_t now_ms) {
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd fd,
      os::OpenAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<PoolFile> file,
                          Map(fd.get(), path, false, now_ms));
  return std::unique_ptr<const PoolFile>(std::move(file));
}

}  // namespace pinion::ipam
