// Ranges and pools against what sets of addresses say, for many random ranges
// of both families: prefixes from the longest to those larger than a window,
// single addresses, pairs of ends up to the last address there is, and
// exclusions that overlap, touch, and reach outside.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ipam/ip_range.h"
#include "ipam/pool.h"
#include "tests/support/fake_clock.h"

namespace pinion::ipam {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Below(uint64_t limit) { return engine_() % limit; }

  IpAddress Address(Family family) {
    std::array<uint8_t, 16> bytes;
    // Also the very first and the very last ones.
    const uint64_t kind = Below(8);
    for (uint8_t& byte : bytes) {
      byte = kind == 0   ? uint8_t{0}
             : kind == 1 ? uint8_t{0xff}
                         : static_cast<uint8_t>(engine_());
    }
    return *IpAddress::FromBytes(bytes.data(),
                                 family == Family::kIpv4 ? 4 : 16);
  }

  // Of at most a few hundred addresses, or larger than any window.
  IpPrefix Prefix(Family family) {
    const int bits = family == Family::kIpv4 ? 32 : 128;
    const int length = Below(10) == 0 ? static_cast<int>(Below(16))
                                      : bits - static_cast<int>(Below(9));
    return IpPrefix::Around(Address(family), length);
  }

 private:
  std::mt19937_64 engine_;
};

// Near the range: inside, across an end, or outside.
IpRange NearTo(const IpRange& range, Random& random) {
  const uint64_t offset = random.Below(range.size() + 8);
  const auto first = range.first().Plus(offset);
  if (!first) return IpRange(IpPrefix::Around(range.first(), 0));
  if (random.Below(3) == 0) {
    return IpRange(IpPrefix::Around(
        *first, first->bits() - static_cast<int>(random.Below(6))));
  }
  const auto last = first->Plus(random.Below(40));
  return *IpRange::Parse(first->ToString() + "-" +
                         last.value_or(*first).ToString());
}

bool IsWithin(const IpAddress& address, const IpRange& range) {
  return address.family() == range.family() && range.first() <= address &&
         address <= range.last();
}

// Indices that may be given out, address by address.
std::set<uint64_t> Expected(const IpRange& range,
                            const std::vector<IpRange>& exclusions) {
  std::set<uint64_t> usable;
  for (uint64_t i = 0; i < range.size(); ++i) {
    const IpAddress address = range.At(i);
    bool excluded = false;
    for (const IpRange& exclusion : exclusions) {
      excluded |= IsWithin(address, exclusion);
    }
    if (!excluded) usable.insert(i);
  }
  return usable;
}

void ExpectLike(const IpRange& range, const std::set<uint64_t>& usable) {
  EXPECT_EQ(range.usable(), usable.size()) << range.name();
  EXPECT_EQ(
      range.FirstUsable(),
      usable.empty() ? std::nullopt : std::optional(range.At(*usable.begin())));
  for (uint64_t i = 0; i < range.size(); ++i) {
    ASSERT_EQ(range.IsUsable(i), usable.count(i) != 0)
        << range.name() << " at " << range.At(i).ToString();
    ASSERT_EQ(range.IndexOf(range.At(i)), i);
  }
  EXPECT_FALSE(range.IsUsable(range.size()));
  if (const auto behind = range.first().Plus(range.size())) {
    EXPECT_FALSE(range.Contains(*behind)) << range.name();
  }
}

TEST(RangePropertyTest, ExclusionsAreSetsOfAddresses) {
  Random random(20261122);
  for (int i = 0; i < 1500; ++i) {
    const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    IpRange range(random.Prefix(family));
    if (range.size() > 1024 && i % 50 >= 2) continue;  // they take long
    SCOPED_TRACE(range.name());
    std::vector<IpRange> exclusions;
    for (uint64_t n = random.Below(6); n > 0; --n) {
      exclusions.push_back(NearTo(range, random));
      range.Exclude(exclusions.back());
    }
    ExpectLike(range, Expected(range, exclusions));
    if (HasFailure()) return;
  }
}

TEST(RangePropertyTest, ReservedAddressesAreTheSubnetsEnds) {
  Random random(7);
  for (int i = 0; i < 600; ++i) {
    const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    const IpPrefix subnet = random.Prefix(family);
    IpRange range(subnet);
    // A part of the subnet, or all of it.
    if (range.size() > 4 && range.size() <= 1024 && i % 3 == 0) {
      range = IpRange(IpPrefix::Around(range.At(random.Below(range.size())),
                                       subnet.length() + 1));
    }
    if (range.size() > 1024) continue;
    range.ExcludeReserved(subnet);
    std::vector<IpRange> exclusions;
    const int host_bits = range.first().bits() - subnet.length();
    // A /31 and a /32, a /127 and a /128 have none.
    if (host_bits > 1) {
      exclusions.emplace_back(
          IpPrefix::Around(subnet.network(), subnet.network().bits()));
      if (family == Family::kIpv4) {
        exclusions.emplace_back(IpPrefix::Around(subnet.Last(), 32));
      }
    }
    SCOPED_TRACE(subnet.ToString());
    ExpectLike(range, Expected(range, exclusions));
    if (HasFailure()) return;
  }
}

TEST(RangePropertyTest, AWindowIsTheBeginningOfALargeRange) {
  for (const char* text :
       {"fd00::/64", "::/0", "fd00::/111", "10.0.0.0/8", "0.0.0.0/0",
        "fd00::1-fd01::", "10.0.0.1-10.9.0.0", "ffff:ffff:ffff:ffff::/64"}) {
    const IpRange range = *IpRange::Parse(text);
    EXPECT_EQ(range.size(), IpRange::kMaxWindow) << text;
    EXPECT_EQ(range.At(0), range.first()) << text;
    EXPECT_EQ(range.IndexOf(range.At(65535)), 65535u) << text;
    EXPECT_FALSE(range.Contains(*range.first().Plus(65536))) << text;
    EXPECT_FALSE(range.Contains(range.last())) << text;
  }
  for (const char* text : {"fd00::/112", "10.0.0.0/16",
                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0/112"}) {
    const IpRange range = *IpRange::Parse(text);
    EXPECT_EQ(range.size(), IpRange::kMaxWindow) << text;
    EXPECT_EQ(range.At(65535), range.last()) << text;
  }
}

TEST(RangePropertyTest, NamesAreParsedToTheSame) {
  Random random(99);
  for (int i = 0; i < 500; ++i) {
    const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    const IpRange prefix(random.Prefix(family));
    const IpRange range = i % 4 < 2 ? prefix : NearTo(prefix, random);
    const auto again = IpRange::Parse(range.name());
    ASSERT_TRUE(again.ok()) << range.name();
    EXPECT_EQ(again->first(), range.first());
    EXPECT_EQ(again->last(), range.last());
    EXPECT_EQ(again->size(), range.size());
    EXPECT_EQ(again->name(), range.name());
  }
}

class PoolPropertyTest : public testing::Test {
 protected:
  PoolPropertyTest() {
    char name[] = "/dev/shm/pn-pool-property-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~PoolPropertyTest() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
};

// Several pools in one directory; each gives out what its range has, once, in
// the order of the addresses the first time.
TEST_F(PoolPropertyTest, PoolsGiveOutTheirRangesAndNothingElse) {
  Random random(4711);
  std::set<std::string> names;
  for (int i = 0; i < 120; ++i) {
    const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    const IpPrefix prefix = random.Prefix(family);
    IpRange range(prefix);
    if (range.size() > 1024 || !names.insert(range.name()).second) continue;
    SCOPED_TRACE(range.name());
    range.ExcludeReserved(prefix);
    for (uint64_t n = random.Below(4); n > 0; --n) {
      range.Exclude(NearTo(range, random));
    }
    const auto pool =
        Pool::Open(dir_, range, {.cooldown = std::chrono::milliseconds(0)});
    ASSERT_TRUE(pool.ok()) << pool.status();
    uint64_t owner = 0;
    for (uint64_t index = 0; index < range.size(); ++index) {
      if (!range.IsUsable(index)) continue;
      auto lease = (*pool)->Claim(Owner(++owner));
      ASSERT_TRUE(lease.ok()) << lease.status();
      EXPECT_EQ(lease->address(), range.At(index));
      lease->Commit();
    }
    EXPECT_EQ((*pool)->Claim(Owner(++owner)).status().code(),
              absl::StatusCode::kResourceExhausted);
    // Next-fit: what was released comes back in the order of the addresses
    // behind the last claim, not of the releases.
    if (owner < 4) continue;
    for (const uint64_t gone : {owner - 1, uint64_t{1}, uint64_t{2}}) {
      EXPECT_EQ((*pool)->Release(Owner(gone)), 1u);
    }
    EXPECT_EQ((*pool)->Claim(Owner(++owner))->address(), *range.FirstUsable());
  }
  EXPECT_GT(names.size(), 60u);
}

// Pods come and go at random for hours; a claim is refused only while every
// address is used or cools down, and then it would be too soon.
TEST_F(PoolPropertyTest, NoAddressIsUsedAgainBeforeItHasCooledDown) {
  constexpr auto kCoolDown = std::chrono::seconds(60);
  testing_support::FakeClock clock;
  Random random(60);
  const auto pool = Pool::Open(dir_, *IpRange::Parse("10.0.0.0/25"),
                               {.cooldown = kCoolDown, .clock = &clock});
  ASSERT_TRUE(pool.ok()) << pool.status();
  std::map<IpAddress, Clock::MonotonicTime> released;
  std::map<uint64_t, IpAddress> held;
  uint64_t next = 0, refused = 0, reused = 0;
  for (int i = 0; i < 20'000; ++i) {
    clock.Advance(std::chrono::milliseconds(random.Below(2000)));
    if (random.Below(5) < 2 && !held.empty()) {
      const auto it = std::next(
          held.begin(), static_cast<std::ptrdiff_t>(random.Below(held.size())));
      ASSERT_EQ((*pool)->Release(Owner(it->first)), 1u);
      released[it->second] = clock.Now();
      held.erase(it);
      continue;
    }
    auto lease = (*pool)->Claim(Owner(++next));
    if (!lease.ok()) {
      ++refused;
      uint64_t cooling = 0;
      for (const auto& [address, time] : released) {
        if (clock.Now() - time < kCoolDown) ++cooling;
      }
      ASSERT_EQ(held.size() + cooling, 128u);
      continue;
    }
    lease->Commit();
    const IpAddress address = lease->address();
    if (const auto it = released.find(address); it != released.end()) {
      ++reused;
      ASSERT_GE(clock.Now() - it->second, kCoolDown) << address.ToString();
      released.erase(it);
    }
    held[next] = address;
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(reused, 1000u);
}

}  // namespace
}  // namespace pinion::ipam
