// How many addresses a second a pool claims and releases.
//
// items_per_second counts pairs of a claim and a release.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ipam/pool.h"

namespace pinion::ipam {
namespace {

// A pool in which so many addresses are taken, as on a busy node: most pods
// stay.
class StandingPool {
 public:
  StandingPool(int64_t prefix, int64_t standing) {
    char name[] = "/dev/shm/pn-ipam-bench-XXXXXX";
    dir_ = mkdtemp(name);
    const IpRange range =
        *IpRange::Parse(prefix == 24 ? "10.0.0.0/24" : "10.0.0.0/16");
    pool_ =
        *Pool::Open(dir_, range, {.cooldown = std::chrono::milliseconds(0)});
    for (int64_t owner = 0; owner < standing; ++owner) {
      pool_->Claim(Owner(0x1000000 + static_cast<uint64_t>(owner)))->Commit();
    }
  }
  ~StandingPool() {
    pool_.reset();
    std::filesystem::remove_all(dir_);
  }
  StandingPool(const StandingPool&) = delete;
  StandingPool& operator=(const StandingPool&) = delete;

  Pool* get() { return pool_.get(); }

 private:
  std::string dir_;
  std::unique_ptr<Pool> pool_;
};

class PoolFixture : public benchmark::Fixture {
 public:
  // Called for every try of a benchmark, each of which leaves the pool as it
  // was: it is filled once, which takes seconds for the largest.
  void SetUp(const benchmark::State& state) override {
    if (state.thread_index() != 0) return;
    static std::map<std::pair<int64_t, int64_t>, StandingPool> pools;
    const std::pair key(state.range(0), state.range(1));
    pool_ = pools.try_emplace(key, key.first, key.second).first->second.get();
  }

 protected:
  Pool* pool_ = nullptr;
};

// A new pod each time, as the network code does it: the claim is committed,
// the release goes by the owner's name.
BENCHMARK_DEFINE_F(PoolFixture, ClaimAndRelease)(benchmark::State& state) {
  uint64_t owner = static_cast<uint64_t>(state.thread_index()) << 40;
  for (auto _ : state) {
    absl::StatusOr<IpLease> lease = pool_->Claim(Owner(++owner));
    if (!lease.ok()) {
      state.SkipWithError(lease.status().ToString().c_str());
      break;
    }
    lease->Commit();
    if (pool_->Release(Owner(owner)) != 1) state.SkipWithError("not held");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_REGISTER_F(PoolFixture, ClaimAndRelease)
    ->ArgNames({"prefix", "standing"})
    ->Args({24, 0})
    ->Args({24, 200})
    ->Args({16, 270})
    ->Args({16, 60000})
    ->ThreadRange(1, 2)
    ->UseRealTime();

}  // namespace
}  // namespace pinion::ipam

BENCHMARK_MAIN();
