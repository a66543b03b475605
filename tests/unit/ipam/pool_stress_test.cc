// Many threads, many processes, and SIGKILL.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "ipam/pool.h"
#include "ipam/pool_reader.h"

namespace pinion::ipam {
namespace {

class PoolStressTest : public testing::Test {
 protected:
  PoolStressTest() {
    char name[] = "/dev/shm/pn-pool-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~PoolStressTest() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<Pool> Open(const std::string& range) {
    auto pool = Pool::Open(dir_, *IpRange::Parse(range),
                           {.cooldown = std::chrono::milliseconds(0)});
    EXPECT_TRUE(pool.ok()) << pool.status();
    return std::move(pool).value();
  }

  std::string dir_;
};

TEST_F(PoolStressTest, NoAddressIsEverHeldTwice) {
  constexpr uint64_t kThreads = 8;
  constexpr uint64_t kRounds = 4000;
  // Fewer addresses than threads: claims collide and fail.
  const auto pool = Open("10.0.0.0/30");
  // Guards what the addresses protect: written without a lock by whoever
  // holds the address, so that TSan sees a missing happens-before, too.
  std::vector<uint64_t> holder(4, 0);
  std::atomic<uint64_t> claimed = 0;
  std::atomic<uint64_t> refused = 0;
  std::atomic<uint64_t> doubled = 0;
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t <= kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < kRounds; ++i) {
        absl::StatusOr<IpLease> lease = pool->Claim(Owner(t));
        if (!lease.ok()) {
          ++refused;
          continue;
        }
        ++claimed;
        uint64_t& cell = holder[*pool->range().IndexOf(lease->address())];
        if (cell != 0) ++doubled;
        cell = t;
        if (i % 64 == 0) std::this_thread::yield();
        if (cell != t) ++doubled;
        cell = 0;
        if (i % 2 == 0) {
          lease->Commit();
          if (pool->Release(Owner(t)) != 1) ++doubled;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(doubled, 0u);
  EXPECT_EQ(claimed + refused, kThreads * kRounds);
  EXPECT_GT(claimed, 0u);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
  // Every address is still to be had.
  for (uint64_t owner = 101; owner <= 104; ++owner) {
    absl::StatusOr<IpLease> lease = pool->Claim(Owner(owner));
    ASSERT_TRUE(lease.ok()) << lease.status();
    lease->Commit();
  }
}

TEST_F(PoolStressTest, SweepsAndClaimsRunTogether) {
  const auto pool = Open("10.0.0.0/24");
  std::atomic<bool> stop = false;
  std::thread sweeper([&] {
    while (!stop) pool->Sweep([](Owner owner) { return owner.token() < 100; });
  });
  std::atomic<uint64_t> wrong = 0;
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t <= 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5000; ++i) {
        absl::StatusOr<IpLease> kept = pool->Claim(Owner(t));
        absl::StatusOr<IpLease> swept = pool->Claim(Owner(100 + t));
        if (!kept.ok() || !swept.ok()) {
          ++wrong;
          continue;
        }
        kept->Commit();
        swept->Commit();
        if (pool->Find(Owner(t)) != kept->address()) ++wrong;
        if (pool->Release(Owner(t)) != 1) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  sweeper.join();
  pool->Sweep([](Owner) { return false; });
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
}

// A child that claims and releases for as long as it lives, for the owners
// base … base + 15. Never returns.
[[noreturn]] void ChurnUntilKilled(const std::string& dir, uint64_t base,
                                   int started) {
  auto pool = Pool::Open(dir, *IpRange::Parse("10.0.0.0/26"),
                         {.cooldown = std::chrono::milliseconds(0)});
  if (!pool.ok()) _exit(1);
  for (uint64_t i = 0;; ++i) {
    absl::StatusOr<IpLease> lease = (*pool)->Claim(Owner(base + i % 16));
    if (lease.ok()) lease->Commit();
    if (i == 0 && write(started, "x", 1) != 1) _exit(1);
    if (i % 3 != 0) (*pool)->Release(Owner(base + (i * 7) % 16));
  }
}

TEST_F(PoolStressTest, SigkillLeavesFreeOrOwnedAddressesOnly) {
  constexpr int kRounds = 60;
  constexpr int kChildren = 3;
  const auto pool = Open("10.0.0.0/26");
  std::minstd_rand random(20261121);
  for (int round = 0; round < kRounds; ++round) {
    int started[2];
    ASSERT_EQ(pipe2(started, O_CLOEXEC), 0);
    std::vector<pid_t> children;
    for (int c = 0; c < kChildren; ++c) {
      const pid_t pid = fork();
      ASSERT_GE(pid, 0);
      if (pid == 0) {
        ChurnUntilKilled(dir_, static_cast<uint64_t>(1000 * (c + 1)),
                         started[1]);
      }
      children.push_back(pid);
    }
    close(started[1]);
    for (int c = 0; c < kChildren; ++c) {
      char byte;
      ASSERT_EQ(read(started[0], &byte, 1), 1);
    }
    close(started[0]);
    // At a random instant of the loop.
    poll(nullptr, 0, static_cast<int>(random() % 3));
    for (const pid_t pid : children) {
      ASSERT_EQ(kill(pid, SIGKILL), 0);
      ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
    }

    const auto entries = ReadPool(dir_ + "/10.0.0.0_26");
    ASSERT_TRUE(entries.ok()) << entries.status();
    std::map<uint64_t, int> held;
    for (const PoolEntry& entry : *entries) {
      if (entry.state != PoolEntry::State::kOwned) continue;
      const uint64_t owner = entry.owner.token();
      ASSERT_TRUE(owner >= 1000 && owner < 1000 * (kChildren + 1)) << owner;
      ASSERT_EQ(++held[owner], 1) << "two addresses for one owner";
    }
    // An owner that survives finds its address, and no second one.
    for (const auto& [owner, count] : held) {
      absl::StatusOr<IpLease> lease = pool->Claim(Owner(owner));
      ASSERT_TRUE(lease.ok()) << lease.status();
      ASSERT_FALSE(lease->fresh()) << owner;
    }
    ASSERT_EQ(pool->Sweep([](Owner) { return false; }), held.size());
    ASSERT_EQ(pool->GetUsage().in_use, 0u);
  }
  for (uint64_t owner = 1; owner <= 64; ++owner) {
    absl::StatusOr<IpLease> lease = pool->Claim(Owner(owner));
    ASSERT_TRUE(lease.ok()) << lease.status();
    lease->Commit();
  }
}

TEST_F(PoolStressTest, ProcessesThatOpenAPoolAtOnceGetTheSame) {
  constexpr int kChildren = 6;
  int go[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  std::vector<pid_t> children;
  for (int c = 0; c < kChildren; ++c) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      close(go[1]);
      char byte;
      if (read(go[0], &byte, 1) != 0) _exit(2);
      auto pool = Pool::Open(dir_, *IpRange::Parse("10.0.0.0/26"), {});
      if (!pool.ok()) _exit(3);
      auto lease = (*pool)->Claim(Owner(static_cast<uint64_t>(c + 1)));
      if (!lease.ok()) _exit(4);
      lease->Commit();
      _exit(0);
    }
    children.push_back(pid);
  }
  close(go[0]);
  close(go[1]);
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Open("10.0.0.0/26")->GetUsage().in_use,
            static_cast<uint64_t>(kChildren));
}

}  // namespace
}  // namespace pinion::ipam
