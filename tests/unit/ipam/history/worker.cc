#include "tests/unit/ipam/history/worker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "ipam/pool.h"

namespace pinion::ipam::history {
namespace {

class Worker {
 public:
  Worker(const WorkerOptions& options, Pool& pool, Shared& shared, Log& log,
         Entry* entries)
      : options_(options),
        pool_(pool),
        shared_(shared),
        log_(log),
        entries_(entries),
        random_(static_cast<std::minstd_rand::result_type>(options.seed)),
        held_(options.owners, kNoAddress) {}

  void Step() {
    const uint64_t i = random_() % options_.owners;
    const uint64_t dice = random_() % 16;
    if (dice == 0) {
      Find(i);
    } else if (held_[i] == kNoAddress) {
      if (dice == 1) {
        ClaimAddress(i);
      } else {
        Claim(i, dice);
      }
    } else if (dice < 4) {
      Claim(i, dice);
    } else {
      Release(i);
    }
  }

 private:
  Entry& Begin(Action action, uint64_t i, uint64_t address) {
    Entry& entry = entries_[log_.entries.load()];
    entry.action = static_cast<uint64_t>(action);
    entry.owner = options_.first_owner + i;
    entry.address = address;
    entry.begin = shared_.ticks.fetch_add(1) + 1;
    log_.entries.fetch_add(1);
    return entry;
  }
  void End(Entry& entry, uint64_t address) {
    entry.address = address;
    entry.end = shared_.ticks.fetch_add(1) + 1;
  }
  void Expect(bool right) {
    if (!right) log_.failed = log_.entries.load();
  }

  // An uncommitted lease is a release as soon as it goes out of scope.
  void Claim(uint64_t i, uint64_t dice) {
    Entry& entry = Begin(Action::kClaim, i, kNoAddress);
    absl::StatusOr<IpLease> lease =
        pool_.Claim(Owner(options_.first_owner + i));
    if (!lease.ok()) {
      Expect(held_[i] == kNoAddress &&
             lease.status().code() == absl::StatusCode::kResourceExhausted);
      return End(entry, kNoAddress);
    }
    const uint64_t address = *options_.range.IndexOf(lease->address());
    End(entry, address);
    if (held_[i] != kNoAddress) {
      Expect(!lease->fresh() && held_[i] == address);
      return;
    }
    Expect(lease->fresh());
    if (dice > 5) {
      lease->Commit();
      held_[i] = address;
      return;
    }
    Entry& release = Begin(Action::kRelease, i, address);
    if (dice > 3) {
      lease->Retire();
    } else {
      lease = absl::CancelledError("");
    }
    End(release, address);
  }

  void ClaimAddress(uint64_t i) {
    const uint64_t address = random_() % options_.range.size();
    if (!options_.range.IsUsable(address)) return;
    Entry& entry = Begin(Action::kClaimAddress, i, address);
    const absl::Status status = pool_.ClaimAddress(
        Owner(options_.first_owner + i), options_.range.At(address));
    Expect(status.ok() || status.code() == absl::StatusCode::kAlreadyExists);
    End(entry, status.ok() ? address : kNoAddress);
    if (status.ok()) held_[i] = address;
  }

  void Release(uint64_t i) {
    Entry& entry = Begin(Action::kRelease, i, held_[i]);
    Expect(pool_.Release(Owner(options_.first_owner + i)) == 1);
    End(entry, std::exchange(held_[i], kNoAddress));
  }

  void Find(uint64_t i) {
    Entry& entry = Begin(Action::kFind, i, kNoAddress);
    const auto found = pool_.Find(Owner(options_.first_owner + i));
    const uint64_t address =
        found ? *options_.range.IndexOf(*found) : kNoAddress;
    Expect(address == held_[i]);
    End(entry, address);
  }

  const WorkerOptions& options_;
  Pool& pool_;
  Shared& shared_;
  Log& log_;
  Entry* const entries_;
  std::minstd_rand random_;
  std::vector<uint64_t> held_;
};

}  // namespace

void Work(const WorkerOptions& options, Shared& shared, Log& log,
          Entry* entries) {
  // The parent is to be awake when it wants to kill, and not to be outlived.
  errno = 0;  // -1 is a nice value, too (nice(2))
  if ((nice(10) == -1 && errno != 0) || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    _exit(2);
  auto pool = Pool::Open(options.directory, options.range,
                         {.cooldown = std::chrono::milliseconds(0)});
  if (!pool.ok()) _exit(1);
  Worker worker(options, **pool, shared, log, entries);
  // A step writes two entries at the most.
  while (shared.stop == 0 && log.entries + 2 <= options.most_entries) {
    worker.Step();
  }
  _exit(0);
}

}  // namespace pinion::ipam::history
