#include "ipam/pool.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ipam/slot.h"

namespace pinion::ipam {
namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

// A stamp belongs to the claim whose generation it carries.
uint64_t MakeStamp(uint64_t word, uint64_t now_ms) {
  return slot::Make(slot::Tag::kOwned, slot::GenerationOf(word), now_ms);
}

}  // namespace

IpLease& IpLease::operator=(IpLease&& other) noexcept {
  if (this == &other) return *this;
  RollBack();
  pool_ = std::exchange(other.pool_, nullptr);
  index_ = other.index_;
  word_ = other.word_;
  fresh_ = other.fresh_;
  rolls_back_ = other.rolls_back_;
  return *this;
}

IpAddress IpLease::address() const { return pool_->range_.At(index_); }

void IpLease::RollBack() {
  Pool* const pool = std::exchange(pool_, nullptr);
  if (pool == nullptr || !rolls_back_) return;
  pool->ReleaseSlot(index_, word_, slot::RolledBack(word_));
}

void IpLease::Retire() {
  Pool* const pool = std::exchange(pool_, nullptr);
  if (pool == nullptr || !rolls_back_) return;
  pool->ReleaseSlot(index_, word_, slot::Released(word_, pool->NowMs()));
}

absl::StatusOr<std::unique_ptr<Pool>> Pool::Open(const std::string& directory,
                                                 const IpRange& range,
                                                 const Options& options) {
  const uint64_t now_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          options.clock->Now().time_since_epoch())
          .count());
  PINION_ASSIGN_OR_RETURN_AS(
      std::unique_ptr<PoolFile> file,
      PoolFile::OpenOrCreate(directory, FileName(range), range, now_ms),
      absl::StrCat("address pool ", range.name()));
  return std::unique_ptr<Pool>(new Pool(std::move(file), range, options));
}

std::string Pool::FileName(const IpRange& range) {
  std::string name = range.name();
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

Pool::Pool(std::unique_ptr<PoolFile> file, IpRange range,
           const Options& options)
    : file_(std::move(file)),
      range_(std::move(range)),
      cooldown_ms_(static_cast<uint64_t>(options.cooldown.count())),
      clock_(options.clock) {
  file_->set_usable(range_.usable());
}

uint64_t Pool::NowMs() const {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          clock_->Now().time_since_epoch())
          .count());
}

FilterBucket& Pool::Bucket(Owner owner) const { return file_->bucket(owner); }

absl::StatusOr<IpLease> Pool::Claim(Owner owner) {
  FilterBucket& bucket = Bucket(owner);
  if (bucket.count.load(memory_order_acquire) != 0) {
    if (const std::optional<uint64_t> index = FindSlot(owner)) {
      return IpLease(this, *index,
                     file_->slot(*index).load(memory_order_relaxed), false);
    }
  }
  bucket.count.fetch_add(1, memory_order_relaxed);
  const uint64_t now_ms = NowMs();
  uint64_t word = 0;
  std::optional<uint64_t> index = ClaimByBitmap(owner, now_ms, word);
  // A new reading of the clock: to a thread that was off the CPU meanwhile,
  // what was released since would seem to cool for ever so little longer.
  if (!index) index = ClaimByScan(owner, NowMs(), word);
  if (!index) {
    bucket.count.fetch_sub(1, memory_order_relaxed);
    return Exhausted(now_ms);
  }
  NoteClaim(*index, owner, word, now_ms);
  file_->cursor().store(*index + 1, memory_order_relaxed);
  return IpLease(this, *index, word, true);
}

std::optional<uint64_t> Pool::TryClaim(uint64_t index, Owner owner,
                                       uint64_t now_ms) {
  std::atomic<uint64_t>& slot = file_->slot(index);
  uint64_t word = slot.load(memory_order_relaxed);
  if (slot::TagOf(word) == slot::Tag::kOwned ||
      slot::IsCooling(word, now_ms, cooldown_ms_) || !range_.IsUsable(index)) {
    return std::nullopt;
  }
  const uint64_t claimed = slot::Claimed(word, owner);
  if (!slot.compare_exchange_strong(word, claimed, memory_order_acq_rel,
                                    memory_order_relaxed)) {
    return std::nullopt;
  }
  return claimed;
}

std::optional<uint64_t> Pool::ClaimByBitmap(Owner owner, uint64_t now_ms,
                                            uint64_t& word) {
  const uint64_t slots = file_->slot_count();
  const uint64_t words = file_->bitmap_words();
  // Whatever the file says, it must not lead out of it.
  const uint64_t start = file_->cursor().load(memory_order_relaxed) % slots;
  // The word with the cursor is looked at twice: first what lies behind the
  // cursor, at the end what lies before it.
  for (uint64_t step = 0; step <= words; ++step) {
    const uint64_t at = (start / 64 + step) % words;
    uint64_t candidates = ~file_->bitmap_word(at).load(memory_order_relaxed);
    if (step == 0) candidates &= ~uint64_t{0} << (start % 64);
    while (candidates != 0) {
      const uint64_t index =
          at * 64 + static_cast<uint64_t>(std::countr_zero(candidates));
      if (index >= slots) break;
      candidates &= candidates - 1;
      if (const auto claimed = TryClaim(index, owner, now_ms)) {
        word = *claimed;
        return index;
      }
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> Pool::ClaimByScan(Owner owner, uint64_t now_ms,
                                          uint64_t& word) {
  const uint64_t slots = file_->slot_count();
  const uint64_t start = file_->cursor().load(memory_order_relaxed) % slots;
  for (uint64_t step = 0; step < slots; ++step) {
    const uint64_t index = (start + step) % slots;
    if (const auto claimed = TryClaim(index, owner, now_ms)) {
      word = *claimed;
      return index;
    }
  }
  return std::nullopt;
}

void Pool::NoteClaim(uint64_t index, Owner owner, uint64_t word,
                     uint64_t now_ms) {
  Bucket(owner).hint.store(static_cast<uint32_t>(index), memory_order_relaxed);
  file_->bitmap_word(index / 64)
      .fetch_or(uint64_t{1} << (index % 64), memory_order_relaxed);
  file_->stamp(index).store(MakeStamp(word, now_ms), memory_order_relaxed);
}

absl::Status Pool::ClaimAddress(Owner owner, const IpAddress& address) {
  const std::optional<uint64_t> index = range_.IndexOf(address);
  if (!index || !range_.IsUsable(*index)) {
    return absl::OutOfRangeError(absl::StrCat(
        address.ToString(), " is no address to give out of ", range_.name()));
  }
  FilterBucket& bucket = Bucket(owner);
  bucket.count.fetch_add(1, memory_order_relaxed);
  std::atomic<uint64_t>& slot = file_->slot(*index);
  uint64_t word = slot.load(memory_order_acquire);
  while (slot::TagOf(word) != slot::Tag::kOwned) {
    const uint64_t claimed = slot::Claimed(word, owner);
    if (slot.compare_exchange_weak(word, claimed, memory_order_acq_rel,
                                   memory_order_acquire)) {
      NoteClaim(*index, owner, claimed, NowMs());
      return absl::OkStatus();
    }
  }
  bucket.count.fetch_sub(1, memory_order_relaxed);
  if (slot::OwnerOf(word) == owner) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      address.ToString(), " belongs to ", slot::OwnerOf(word).ToString(),
      ", not to ", owner.ToString()));
}

std::optional<uint64_t> Pool::FindSlot(Owner owner) const {
  const uint64_t slots = file_->slot_count();
  const uint64_t hint = Bucket(owner).hint.load(memory_order_relaxed);
  if (hint < slots &&
      slot::IsOwnedBy(file_->slot(hint).load(memory_order_acquire), owner)) {
    return hint;
  }
  for (uint64_t i = 0; i < slots; ++i) {
    if (slot::IsOwnedBy(file_->slot(i).load(memory_order_acquire), owner)) {
      return i;
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> Pool::Find(Owner owner) const {
  if (Bucket(owner).count.load(memory_order_acquire) == 0) return std::nullopt;
  const std::optional<uint64_t> index = FindSlot(owner);
  if (!index) return std::nullopt;
  return range_.At(*index);
}

bool Pool::ReleaseSlot(uint64_t index, uint64_t word, uint64_t released) {
  const Owner owner = slot::OwnerOf(word);
  if (!file_->slot(index).compare_exchange_strong(
          word, released, memory_order_release, memory_order_relaxed)) {
    return false;
  }
  file_->bitmap_word(index / 64)
      .fetch_and(~(uint64_t{1} << (index % 64)), memory_order_relaxed);
  Bucket(owner).count.fetch_sub(1, memory_order_release);
  return true;
}

uint64_t Pool::Release(Owner owner) {
  const FilterBucket& bucket = Bucket(owner);
  const uint64_t now_ms = NowMs();
  uint64_t released = 0;
  while (bucket.count.load(memory_order_acquire) != 0) {
    const std::optional<uint64_t> index = FindSlot(owner);
    if (!index) break;
    const uint64_t word = file_->slot(*index).load(memory_order_acquire);
    if (slot::IsOwnedBy(word, owner) &&
        ReleaseSlot(*index, word, slot::Released(word, now_ms))) {
      ++released;
    }
  }
  return released;
}

uint64_t Pool::Sweep(const std::function<bool(Owner)>& keep) {
  const uint64_t now_ms = NowMs();
  uint64_t released = 0;
  for (uint64_t i = 0; i < file_->slot_count(); ++i) {
    const uint64_t word = file_->slot(i).load(memory_order_acquire);
    if (slot::TagOf(word) != slot::Tag::kOwned || keep(slot::OwnerOf(word))) {
      continue;
    }
    if (ReleaseSlot(i, word, slot::Released(word, now_ms))) ++released;
  }
  return released;
}

Usage Pool::GetUsage() const {
  const uint64_t now_ms = NowMs();
  Usage usage{.capacity = range_.usable()};
  for (uint64_t i = 0; i < file_->slot_count(); ++i) {
    const uint64_t word = file_->slot(i).load(memory_order_relaxed);
    if (slot::TagOf(word) == slot::Tag::kOwned) ++usage.in_use;
    if (slot::IsCooling(word, now_ms, cooldown_ms_)) ++usage.cooling;
  }
  return usage;
}

absl::Status Pool::Exhausted(uint64_t now_ms) const {
  const Usage usage = GetUsage();
  std::string message =
      absl::StrCat("no free address in ", range_.name(), ": ", usage.in_use,
                   " of ", usage.capacity, " in use");
  uint64_t soonest = ~uint64_t{0};
  for (uint64_t i = 0; i < file_->slot_count(); ++i) {
    const uint64_t word = file_->slot(i).load(memory_order_relaxed);
    if (!slot::IsCooling(word, now_ms, cooldown_ms_)) continue;
    soonest = std::min(soonest, slot::ReleasedAtMs(word));
  }
  if (usage.cooling != 0 && soonest != ~uint64_t{0}) {
    const uint64_t wait_ms = soonest + cooldown_ms_ - now_ms;
    absl::StrAppend(&message, ", ", usage.cooling,
                    " cooling down, the next for ", (wait_ms + 999) / 1000,
                    " s more");
  }
  return absl::ResourceExhaustedError(message);
}

}  // namespace pinion::ipam
