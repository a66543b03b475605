#include "ipam/pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ipam/slot.h"

namespace pinion::ipam {
namespace {

// A stamp belongs to the claim whose generation it carries.
uint64_t MakeStamp(uint64_t word, uint64_t now_ms) {
  return slot::Make(slot::Tag::kOwned, slot::GenerationOf(word), now_ms);
}

uint64_t ToMs(Clock::MonotonicTime time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          time.time_since_epoch())
          .count());
}

std::vector<uint64_t> UsableBits(const IpRange& range) {
  std::vector<uint64_t> bits((range.size() + 63) / 64, 0);
  for (uint64_t i = 0; i < range.size(); ++i) {
    if (range.IsUsable(i)) bits[i / 64] |= uint64_t{1} << (i % 64);
  }
  return bits;
}

}  // namespace

IpLease& IpLease::operator=(IpLease&& other) noexcept {
  if (this == &other) return *this;
  RollBack();
  pool_ = std::exchange(other.pool_, nullptr);
  held_ = other.held_;
  before_ = other.before_;
  fresh_ = other.fresh_;
  rolls_back_ = other.rolls_back_;
  return *this;
}

IpAddress IpLease::address() const { return pool_->range_.At(held_.index); }

void IpLease::RollBack() {
  Pool* const pool = std::exchange(pool_, nullptr);
  if (pool == nullptr || !rolls_back_) return;
  pool->table_.ReleaseSlot(held_, slot::RolledBack(held_.word, before_));
}

void IpLease::Retire() {
  Pool* const pool = std::exchange(pool_, nullptr);
  if (pool == nullptr || !rolls_back_) return;
  pool->table_.ReleaseSlot(held_, slot::Released(held_.word, pool->NowMs()));
}

absl::StatusOr<std::unique_ptr<Pool>> Pool::Open(const std::string& directory,
                                                 const IpRange& range,
                                                 const Options& options) {
  PINION_ASSIGN_OR_RETURN_AS(
      std::unique_ptr<PoolFile> file,
      PoolFile::OpenOrCreate(directory, FileName(range), range,
                             ToMs(options.clock->Now())),
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
      clock_(options.clock),
      usable_(UsableBits(range_)),
      table_(file_->memory(usable_.data()), cooldown_ms_) {
  file_->set_usable(range_.usable());
  // What kills and other exclusions left behind.
  table_.RebuildMap();
}

uint64_t Pool::NowMs() const { return ToMs(clock_->Now()); }

absl::StatusOr<IpLease> Pool::Claim(Owner owner) {
  if (const std::optional<HeldSlot> held = table_.Find(owner)) {
    return IpLease(this, *held, false);
  }
  return ClaimAnother(owner);
}

absl::StatusOr<IpLease> Pool::ClaimAnother(Owner owner) {
  uint64_t now_ms = 0;
  const std::optional<HeldSlot> held =
      table_.Claim(owner, [&] { return now_ms = NowMs(); });
  if (!held) return Exhausted();
  NoteStamp(*held, now_ms);
  return IpLease(this, *held, true);
}

void Pool::NoteStamp(const HeldSlot& held, uint64_t now_ms) {
  file_->stamp(held.index)
      .store(MakeStamp(held.word, now_ms), std::memory_order_relaxed);
}

absl::StatusOr<IpLease> Pool::LeaseAddress(Owner owner,
                                           const IpAddress& address) {
  const std::optional<uint64_t> index = range_.IndexOf(address);
  if (!index || !range_.IsUsable(*index)) {
    return absl::OutOfRangeError(absl::StrCat(
        address.ToString(), " is no address to give out of ", range_.name()));
  }
  // Of one step: it may have been released anew just before.
  const auto [word, before] = table_.ClaimSlot(owner, *index);
  if (!slot::IsOwnedBy(word, owner)) {
    return absl::AlreadyExistsError(absl::StrCat(
        address.ToString(), " belongs to ", slot::OwnerOf(word).ToString(),
        ", not to ", owner.ToString()));
  }
  const bool fresh = word != before;
  if (fresh) NoteStamp({*index, word}, NowMs());
  return IpLease(this, {*index, word}, fresh, before);
}

absl::Status Pool::ClaimAddress(Owner owner, const IpAddress& address) {
  PINION_ASSIGN_OR_RETURN(IpLease lease, LeaseAddress(owner, address));
  lease.Commit();
  return absl::OkStatus();
}

std::optional<IpAddress> Pool::Find(Owner owner) const {
  const std::optional<HeldSlot> held = table_.Find(owner);
  if (!held) return std::nullopt;
  return range_.At(held->index);
}

uint64_t Pool::Release(Owner owner) { return table_.Release(owner, NowMs()); }

uint64_t Pool::Sweep(const std::function<bool(Owner)>& keep) {
  return table_.Sweep(keep, NowMs());
}

Usage Pool::GetUsage() const {
  const uint64_t now_ms = NowMs();
  Usage usage{.capacity = range_.usable()};
  for (uint64_t i = 0; i < table_.slot_count(); ++i) {
    const uint64_t word = table_.Load(i);
    if (slot::TagOf(word) == slot::Tag::kOwned) ++usage.in_use;
    if (slot::IsCooling(word, now_ms, cooldown_ms_)) ++usage.cooling;
  }
  return usage;
}

absl::Status Pool::Exhausted() const {
  const uint64_t now_ms = NowMs();
  const Usage usage = GetUsage();
  std::string message =
      absl::StrCat("no free address in ", range_.name(), ": ", usage.in_use,
                   " of ", usage.capacity, " in use");
  uint64_t soonest = ~uint64_t{0};
  for (uint64_t i = 0; i < table_.slot_count(); ++i) {
    const uint64_t word = table_.Load(i);
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
