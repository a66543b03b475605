// Several processes on one pool, killed at random instants; all that they did
// is written down and judged.
//
// PINION_IPAM_OPERATIONS and PINION_IPAM_KILLS set how much; docs/ipam.md says
// what 10^8 and 1,000 took.

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "ipam/pool.h"
#include "ipam/pool_reader.h"
#include "tests/unit/ipam/history/history.h"
#include "tests/unit/ipam/history/worker.h"

namespace pinion::ipam::history {
namespace {

constexpr uint64_t kWorkers = 6;
constexpr uint64_t kOwners = 50;  // of each worker: together more than fit
constexpr uint64_t kRoundOperations = 1'000'000;  // at the most
constexpr uint64_t kRoundKills = 10;
constexpr uint64_t kMostEntries = 1'000'000;  // of one process

uint64_t FromEnvironment(const char* name, uint64_t usual) {
  const char* const text = getenv(name);
  return text == nullptr ? usual : strtoull(text, nullptr, 10);
}

// Memory that children share.
template <class T>
class SharedArray {
 public:
  explicit SharedArray(size_t count)
      : bytes_(sizeof(T) * count),
        data_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (data_ == MAP_FAILED) abort();
  }
  ~SharedArray() { munmap(data_, bytes_); }
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;

  T* get() { return static_cast<T*>(data_); }

 private:
  const size_t bytes_;
  void* const data_;
};

struct Process {
  pid_t pid = -1;
  uint64_t first_owner = 0;
  std::unique_ptr<SharedArray<Log>> log;
  std::unique_ptr<SharedArray<Entry>> entries;
};

class PoolHistoryTest : public testing::Test {
 protected:
  PoolHistoryTest() {
    char name[] = "/dev/shm/pn-history-XXXXXX";
    dir_ = mkdtemp(name);
    range_.Exclude(*IpRange::Parse("10.0.0.20-10.0.0.29"));
    pool_ =
        *Pool::Open(dir_, range_, {.cooldown = std::chrono::milliseconds(0)});
  }
  ~PoolHistoryTest() override {
    for (const Process& process : processes_) End(process.pid);
    std::filesystem::remove_all(dir_);
  }

  static void End(pid_t pid) {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }

  uint64_t Tick() { return shared_.get()->ticks.fetch_add(1) + 1; }

  void Start(Process& process, uint64_t most_entries) {
    process.first_owner = next_owner_;
    next_owner_ += kOwners;
    process.log = std::make_unique<SharedArray<Log>>(1);
    process.entries = std::make_unique<SharedArray<Entry>>(most_entries);
    const WorkerOptions options = {.directory = dir_,
                                   .range = range_,
                                   .first_owner = process.first_owner,
                                   .owners = kOwners,
                                   .seed = random_(),
                                   .most_entries = most_entries};
    process.pid = fork();
    ASSERT_GE(process.pid, 0);
    if (process.pid == 0) {
      Work(options, *shared_.get(), *process.log->get(),
           process.entries->get());
    }
  }

  // Addresses of a process's owners, by owner.
  void ReadHeld(const Process& process, std::map<uint64_t, uint64_t>& held) {
    const auto entries = ReadPool(dir_ + "/" + Pool::FileName(range_));
    ASSERT_TRUE(entries.ok()) << entries.status();
    for (const PoolEntry& entry : *entries) {
      const uint64_t owner = entry.owner.token();
      if (entry.state != PoolEntry::State::kOwned ||
          owner < process.first_owner ||
          owner >= process.first_owner + kOwners) {
        continue;
      }
      const bool first =
          held.emplace(owner, *range_.IndexOf(entry.address)).second;
      ASSERT_TRUE(first) << "two addresses for owner " << owner;
    }
  }

  // What a process that is dead did; frees what it held. Others go on.
  void Collect(Process& process) {
    process.pid = -1;
    ASSERT_EQ(process.log->get()->failed, 0u) << "at its entry of that number";
    const uint64_t dead = Tick();
    std::map<uint64_t, uint64_t> held;
    ReadHeld(process, held);
    std::map<uint64_t, Episode> open;
    for (uint64_t i = 0; i < process.log->get()->entries; ++i) {
      Replay(process.entries->get()[i], dead, held, open);
      if (HasFatalFailure()) return;
    }
    operations_ += process.log->get()->entries;
    // Neither lost nor taken away.
    ASSERT_EQ(open.size(), held.size());
    const uint64_t begin = Tick();
    const uint64_t first = process.first_owner;
    const uint64_t freed = pool_->Sweep([first](Owner owner) {
      return owner.token() < first || owner.token() >= first + kOwners;
    });
    const uint64_t end = Tick();
    ASSERT_EQ(freed, held.size());
    for (auto& [owner, episode] : open) {
      ASSERT_EQ(held[owner], episode.address) << owner;
      Close(episode, begin, end);
    }
  }

  void Close(Episode& episode, uint64_t begin, uint64_t end) {
    episode.release_begin = begin;
    episode.release_end = end;
    history_.episodes.push_back(episode);
  }

  // One entry. Whether what was under way at the kill took effect is seen from
  // what is held now.
  void Replay(const Entry& entry, uint64_t dead,
              const std::map<uint64_t, uint64_t>& held,
              std::map<uint64_t, Episode>& open) {
    const uint64_t owner = entry.owner;
    const bool ended = entry.end != 0;
    const uint64_t end = ended ? entry.end.load() : dead;
    const auto it = open.find(owner);
    const auto now = held.find(owner);
    switch (static_cast<Action>(entry.action.load())) {
      case Action::kClaim:
      case Action::kClaimAddress: {
        // The worker has checked that it got again what it had.
        if (it != open.end()) return;
        uint64_t address = entry.address;
        if (!ended) address = now == held.end() ? kNoAddress : now->second;
        if (address != kNoAddress) {
          open[owner] = {address, owner, entry.begin, end, 0, 0};
        } else if (ended &&
                   static_cast<Action>(entry.action.load()) == Action::kClaim) {
          history_.refusals.push_back({entry.begin, end});
        }
        return;
      }
      case Action::kRelease:
        ASSERT_TRUE(it != open.end());
        if (!ended && now != held.end()) return;
        Close(it->second, entry.begin, end);
        open.erase(it);
        return;
      case Action::kFind:
        return;
    }
  }

  uint64_t Begun() {
    uint64_t sum = 0;
    for (const Process& process : processes_) {
      sum += process.log->get()->entries;
    }
    return sum;
  }

  // The workers write to memory that is shared, which nothing waits for. A
  // minute without an operation: they have ended.
  void AwaitOperations(uint64_t until) {
    using std::chrono::steady_clock;
    uint64_t last = Begun();
    auto moved = steady_clock::now();
    for (uint64_t begun = last; operations_ + begun < until; begun = Begun()) {
      if (begun != last) moved = steady_clock::now();
      last = begun;
      ASSERT_LT(steady_clock::now() - moved, std::chrono::minutes(1))
          << "the workers do nothing";
      poll(nullptr, 0, 1);
    }
  }

  // Starts workers, kills some of them, ends the others, and judges.
  void Round(uint64_t operations, uint64_t kills) {
    history_ = {.addresses = range_.usable(), .episodes = {}, .refusals = {}};
    shared_.get()->stop = 0;
    processes_.clear();
    processes_.resize(kWorkers);
    for (Process& process : processes_) Start(process, kMostEntries);
    const uint64_t before = operations_;
    for (uint64_t k = 0; k < kills;) {
      const uint64_t until = (k + 1) * operations / (kills + 1);
      AwaitOperations(before + until);
      if (HasFatalFailure()) return;
      Process& process = processes_[random_() % kWorkers];
      ASSERT_EQ(kill(process.pid, SIGKILL), 0);
      int status = 0;
      ASSERT_EQ(waitpid(process.pid, &status, 0), process.pid);
      // Its log may have been full.
      if (WIFSIGNALED(status)) ++k;
      Collect(process);
      if (HasFatalFailure()) return;
      Start(process, kMostEntries);
    }
    kills_ += kills;
    AwaitOperations(before + operations);
    if (HasFatalFailure()) return;
    shared_.get()->stop = 1;
    for (Process& process : processes_) {
      int status = 0;
      ASSERT_EQ(waitpid(process.pid, &status, 0), process.pid);
      ASSERT_EQ(status, 0);
      Collect(process);
      if (HasFatalFailure()) return;
    }
    refusals_ += history_.refusals.size();
    ASSERT_EQ(Check(history_), "");
    ASSERT_EQ(pool_->GetUsage().in_use, 0u);
  }

  // Each address can be had, and not one more.
  void TakeAll() {
    const uint64_t first = next_owner_;
    for (uint64_t i = 0; i < range_.usable(); ++i) {
      auto lease = pool_->Claim(Owner(next_owner_++));
      ASSERT_TRUE(lease.ok()) << lease.status();
      lease->Commit();
    }
    ASSERT_FALSE(pool_->Claim(Owner(next_owner_)).ok());
    ASSERT_EQ(
        pool_->Sweep([first](Owner owner) { return owner.token() < first; }),
        range_.usable());
  }

  std::string dir_;
  IpRange range_ = *IpRange::Parse("10.0.0.0-10.0.0.149");
  std::unique_ptr<Pool> pool_;
  SharedArray<Shared> shared_{1};
  std::vector<Process> processes_;
  History history_;
  std::minstd_rand random_{20261122};
  uint64_t next_owner_ = 1;
  uint64_t operations_ = 0;
  uint64_t refusals_ = 0;
  uint64_t kills_ = 0;
};

TEST_F(PoolHistoryTest, ItCanHaveBeenRight) {
  const uint64_t operations =
      FromEnvironment("PINION_IPAM_OPERATIONS", 600'000);
  const uint64_t kills = FromEnvironment("PINION_IPAM_KILLS", 60);
  const uint64_t rounds = std::max(
      {uint64_t{1}, operations / kRoundOperations, kills / kRoundKills});
  for (uint64_t round = 0; round < rounds; ++round) {
    Round((operations + rounds - 1) / rounds,
          (round + 1) * kills / rounds - round * kills / rounds);
    if (HasFatalFailure()) return;
    TakeAll();
    if (HasFatalFailure()) return;
  }
  std::cout << operations_ << " operations, " << refusals_ << " refusals, "
            << kills_ << " kills\n";
  EXPECT_GE(operations_, operations);
  EXPECT_GT(refusals_, 0u);
  EXPECT_EQ(kills_, kills);
}

}  // namespace
}  // namespace pinion::ipam::history
