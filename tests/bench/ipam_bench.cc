// How many addresses a second a pool claims and releases.
//
// items_per_second counts pairs of a claim and a release.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

#include "ipam/pool.h"

namespace pinion::ipam {
namespace {

class PoolFixture : public benchmark::Fixture {
 public:
  void SetUp(const benchmark::State& state) override {
    if (state.thread_index() != 0) return;
    char name[] = "/dev/shm/pn-ipam-bench-XXXXXX";
    dir_ = mkdtemp(name);
    IpRange range =
        *IpRange::Parse(state.range(0) == 24 ? "10.0.0.0/24" : "10.0.0.0/16");
    pool_ =
        *Pool::Open(dir_, range, {.cooldown = std::chrono::milliseconds(0)});
    // As on a busy node: most pods stay.
    const uint64_t standing = static_cast<uint64_t>(state.range(1));
    for (uint64_t owner = 0; owner < standing; ++owner) {
      pool_->Claim(Owner(0x1000000 + owner))->Commit();
    }
  }
  void TearDown(const benchmark::State& state) override {
    if (state.thread_index() != 0) return;
    pool_.reset();
    std::filesystem::remove_all(dir_);
  }

 protected:
  std::string dir_;
  std::unique_ptr<Pool> pool_;
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
