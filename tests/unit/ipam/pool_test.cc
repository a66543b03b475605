#include "ipam/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "ipam/pool_file.h"
#include "ipam/pool_reader.h"
#include "tests/support/fake_clock.h"

namespace pinion::ipam {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PoolTest : public testing::Test {
 protected:
  PoolTest() {
    char name[] = "/tmp/pn-pool-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~PoolTest() override { std::filesystem::remove_all(dir_); }

  // Network and broadcast address left out.
  static IpRange Range(const std::string& cidr = "10.0.0.0/29") {
    IpRange range = *IpRange::Parse(cidr);
    if (const auto prefix = IpPrefix::Parse(cidr); prefix.ok()) {
      range.ExcludeReserved(*prefix);
    }
    return range;
  }

  std::unique_ptr<Pool> Open(const IpRange& range = Range()) {
    auto pool =
        Pool::Open(dir_, range, {.cooldown = seconds(60), .clock = &clock_});
    EXPECT_TRUE(pool.ok()) << pool.status();
    return std::move(pool).value();
  }

  // Claims and keeps; the address or the error.
  static std::string Take(Pool& pool, uint64_t owner) {
    absl::StatusOr<IpLease> lease = pool.Claim(Owner(owner));
    if (!lease.ok()) return lease.status().ToString();
    lease->Commit();
    return pool.Find(Owner(owner))->ToString();
  }

  std::string Path() const { return dir_ + "/10.0.0.0_29"; }
  std::vector<std::string> SetAside() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      const std::string name = entry.path().filename();
      if (name.find(".corrupt-") != std::string::npos) names.push_back(name);
    }
    return names;
  }

  std::string dir_;
  testing_support::FakeClock clock_;
};

TEST_F(PoolTest, GivesEachOwnerAnAddressUntilNoneIsLeft) {
  const auto pool = Open();
  std::set<std::string> addresses;
  for (uint64_t owner = 1; owner <= 6; ++owner) {
    addresses.insert(Take(*pool, owner));
  }
  EXPECT_THAT(addresses, ElementsAre("10.0.0.1", "10.0.0.2", "10.0.0.3",
                                     "10.0.0.4", "10.0.0.5", "10.0.0.6"));
  const absl::Status status = pool->Claim(Owner(7)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "no free address in 10.0.0.0/29: 6 of 6 in use");
}

TEST_F(PoolTest, ClaimIsIdempotentPerOwner) {
  const auto pool = Open();
  const std::string first = Take(*pool, 42);
  EXPECT_EQ(Take(*pool, 42), first);
  {
    absl::StatusOr<IpLease> again = pool->Claim(Owner(42));
    ASSERT_TRUE(again.ok());
    EXPECT_FALSE(again->fresh());
    // Goes out of scope uncommitted: the address was the owner's before.
  }
  EXPECT_EQ(pool->Find(Owner(42))->ToString(), first);
  EXPECT_EQ(pool->GetUsage().in_use, 1u);
}

TEST_F(PoolTest, ALeaseThatIsNotCommittedGivesItsAddressBackAtOnce) {
  const auto pool = Open(Range("10.0.0.0/31"));
  for (int i = 0; i < 10; ++i) {
    absl::StatusOr<IpLease> lease = pool->Claim(Owner(1));
    ASSERT_TRUE(lease.ok()) << lease.status();
    EXPECT_TRUE(lease->fresh());
    IpLease moved = *std::move(lease);
    IpLease assigned;
    assigned = std::move(moved);
    EXPECT_EQ(pool->GetUsage().in_use, 1u);
  }
  EXPECT_EQ(pool->Find(Owner(1)), std::nullopt);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
  EXPECT_EQ(pool->GetUsage().cooling, 0u);
}

TEST_F(PoolTest, ARetiredLeaseCoolsDownAndTheNextClaimGetsAnother) {
  const auto pool = Open();
  absl::StatusOr<IpLease> lease = pool->Claim(Owner(1));
  ASSERT_TRUE(lease.ok());
  lease->Retire();
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
  EXPECT_EQ(pool->GetUsage().cooling, 1u);
  EXPECT_EQ(Take(*pool, 1), "10.0.0.2");
  // What the owner had before stays its own.
  lease = pool->Claim(Owner(1));
  ASSERT_TRUE(lease.ok());
  lease->Retire();
  EXPECT_EQ(pool->Find(Owner(1))->ToString(), "10.0.0.2");
}

TEST_F(PoolTest, ALeaseCannotReleaseALaterClaim) {
  const auto pool = Open(Range("10.0.0.0/32"));
  absl::StatusOr<IpLease> stale = pool->Claim(Owner(1));
  ASSERT_TRUE(stale.ok());
  EXPECT_EQ(pool->Release(Owner(1)), 1u);
  clock_.Advance(seconds(60));
  EXPECT_EQ(Take(*pool, 1), "10.0.0.0");
  stale = absl::CancelledError("");  // destroys the lease
  EXPECT_EQ(pool->GetUsage().in_use, 1u);
}

TEST_F(PoolTest, AReleasedAddressCoolsDown) {
  const auto pool = Open(Range("10.0.0.4/31"));
  Take(*pool, 1);
  Take(*pool, 2);
  EXPECT_EQ(pool->Release(Owner(1)), 1u);
  EXPECT_EQ(pool->Release(Owner(1)), 0u);
  EXPECT_EQ(pool->GetUsage().cooling, 1u);
  clock_.Advance(seconds(20));
  EXPECT_THAT(Take(*pool, 3),
              HasSubstr("1 of 2 in use, 1 cooling down, the next for 40 s"));
  clock_.Advance(std::chrono::milliseconds(39'999));
  EXPECT_THAT(Take(*pool, 3), HasSubstr("for 1 s more"));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(Take(*pool, 3), "10.0.0.4");
}

TEST_F(PoolTest, TheLastReleasedAddressIsTheLastToBeUsedAgain) {
  const auto pool = Open();
  EXPECT_EQ(Take(*pool, 1), "10.0.0.1");
  pool->Release(Owner(1));
  clock_.Advance(seconds(60));
  EXPECT_EQ(Take(*pool, 2), "10.0.0.2");
  EXPECT_EQ(Take(*pool, 3), "10.0.0.3");
}

TEST_F(PoolTest, ClaimsOneAddressForRecovery) {
  const auto pool = Open();
  const IpAddress address = *IpAddress::Parse("10.0.0.5");
  EXPECT_TRUE(pool->ClaimAddress(Owner(1), address).ok());
  EXPECT_TRUE(pool->ClaimAddress(Owner(1), address).ok());
  EXPECT_EQ(pool->Find(Owner(1)), address);
  const absl::Status taken = pool->ClaimAddress(Owner(2), address);
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(taken.message(),
            "10.0.0.5 belongs to 0000000000001, not to 0000000000002");
  pool->Release(Owner(1));
  // Cooling down, but it is recovery that asks.
  EXPECT_TRUE(pool->ClaimAddress(Owner(2), address).ok());
  for (const char* outside : {"10.0.0.0", "10.0.0.7", "10.0.0.8", "::1"}) {
    EXPECT_EQ(pool->ClaimAddress(Owner(3), *IpAddress::Parse(outside)).code(),
              absl::StatusCode::kOutOfRange)
        << outside;
  }
  EXPECT_EQ(pool->GetUsage().in_use, 1u);
}

TEST_F(PoolTest, SweepFreesOwnersThatAreGone) {
  const auto pool = Open();
  for (uint64_t owner = 1; owner <= 4; ++owner) Take(*pool, owner);
  EXPECT_EQ(pool->Sweep([](Owner owner) { return owner.token() % 2 == 0; }),
            2u);
  EXPECT_EQ(pool->Find(Owner(1)), std::nullopt);
  EXPECT_NE(pool->Find(Owner(2)), std::nullopt);
  EXPECT_EQ(pool->GetUsage().in_use, 2u);
  EXPECT_EQ(pool->GetUsage().cooling, 2u);
}

// pinionctl shows it; the file alone does not know what the range excludes.
TEST_F(PoolTest, ReadersLearnHowManyAddressesAreUsable) {
  const auto pool = Open();
  const auto file =
      PoolFile::OpenForReading(dir_ + "/" + Pool::FileName(Range()), 1);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->slot_count(), 8U);
  EXPECT_EQ((*file)->usable(), 6U);
  EXPECT_EQ(pool->GetUsage().capacity, 6U);
}

TEST_F(PoolTest, SurvivesItsProcess) {
  std::string address;
  {
    const auto pool = Open();
    address = Take(*pool, 9);
    Take(*pool, 8);
    pool->Release(Owner(8));
  }
  const auto pool = Open();
  EXPECT_EQ(Take(*pool, 9), address);
  EXPECT_EQ(pool->GetUsage().in_use, 1u);
  EXPECT_EQ(pool->GetUsage().cooling, 1u);
  EXPECT_THAT(SetAside(), IsEmpty());
}

TEST_F(PoolTest, TwoMappingsSeeEachOther) {
  const auto one = Open();
  const auto two = Open();
  EXPECT_EQ(Take(*one, 1), "10.0.0.1");
  EXPECT_EQ(Take(*two, 2), "10.0.0.2");
  EXPECT_EQ(Take(*two, 1), "10.0.0.1");
  EXPECT_EQ(two->Release(Owner(1)), 1u);
  EXPECT_EQ(one->Find(Owner(1)), std::nullopt);
}

TEST_F(PoolTest, ExclusionsMayChangeBetweenTwoRuns) {
  IpRange range = Range();
  range.Exclude(*IpAddress::Parse("10.0.0.1"));
  {
    const auto pool = Open(range);
    EXPECT_EQ(Take(*pool, 1), "10.0.0.2");
  }
  range.Exclude(*IpAddress::Parse("10.0.0.2"));
  const auto pool = Open(range);
  // Its owner keeps it, nobody else gets it.
  EXPECT_EQ(Take(*pool, 1), "10.0.0.2");
  pool->Release(Owner(1));
  clock_.Advance(seconds(60));
  std::set<std::string> addresses;
  for (uint64_t owner = 11; owner <= 14; ++owner) {
    addresses.insert(Take(*pool, owner));
  }
  EXPECT_THAT(addresses,
              ElementsAre("10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"));
}

TEST_F(PoolTest, AnOwnerMayHaveSeveralAddressesThatGoTogether) {
  const auto pool = Open();
  const Owner owner(1);
  for (int i = 0; i < 3; ++i) {
    auto lease = pool->ClaimAnother(owner);
    ASSERT_TRUE(lease.ok()) << lease.status();
    EXPECT_TRUE(lease->fresh());
    lease->Commit();
  }
  {
    const auto dropped = pool->ClaimAnother(owner);
    ASSERT_TRUE(dropped.ok());
  }
  EXPECT_EQ(pool->GetUsage().in_use, 3u);
  EXPECT_EQ(pool->Release(owner), 3u);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
}

TEST_F(PoolTest, AnAddressMayBeLeasedByNameEvenWhileItCoolsDown) {
  const auto pool = Open();
  const IpAddress address = *IpAddress::Parse("10.0.0.4");
  {
    const auto lease = pool->LeaseAddress(Owner(1), address);
    ASSERT_TRUE(lease.ok()) << lease.status();
    EXPECT_EQ(lease->address(), address);
    EXPECT_TRUE(
        absl::IsAlreadyExists(pool->LeaseAddress(Owner(2), address).status()));
  }
  EXPECT_EQ(pool->GetUsage().in_use, 0u) << "it was not committed";
  auto lease = pool->LeaseAddress(Owner(1), address);
  ASSERT_TRUE(lease.ok()) << lease.status();
  lease->Commit();
  {
    const auto again = pool->LeaseAddress(Owner(1), address);
    ASSERT_TRUE(again.ok());
    EXPECT_FALSE(again->fresh());
  }
  EXPECT_EQ(pool->GetUsage().in_use, 1u) << "it was its own before";
  pool->Release(Owner(1));
  EXPECT_EQ(pool->GetUsage().cooling, 1u);
  EXPECT_TRUE(pool->LeaseAddress(Owner(2), address).ok());
  for (const char* bad : {"10.0.0.0", "10.0.0.8", "fd00::1"}) {
    EXPECT_TRUE(absl::IsOutOfRange(
        pool->LeaseAddress(Owner(1), *IpAddress::Parse(bad)).status()))
        << bad;
  }
}

TEST_F(PoolTest, ANamedAddressThatIsGivenBackGoesOnToCoolDown) {
  const auto pool = Open(Range("10.0.0.0/32"));
  const IpAddress address = *IpAddress::Parse("10.0.0.0");
  EXPECT_EQ(Take(*pool, 1), "10.0.0.0");
  pool->Release(Owner(1));
  clock_.Advance(seconds(20));
  for (int i = 0; i < 2; ++i) {
    auto lease = pool->LeaseAddress(Owner(2), address);
    ASSERT_TRUE(lease.ok()) << lease.status();
    IpLease moved = *std::move(lease);
    IpLease assigned;
    assigned = std::move(moved);
  }
  EXPECT_EQ(pool->GetUsage().cooling, 1u);
  EXPECT_THAT(Take(*pool, 3), HasSubstr("the next for 40 s more"));
  clock_.Advance(seconds(40));
  EXPECT_EQ(pool->GetUsage().cooling, 0u);
  // Its cool-down was over before: free at once, as it was.
  EXPECT_TRUE(pool->LeaseAddress(Owner(2), address).ok());
  EXPECT_EQ(Take(*pool, 3), "10.0.0.0");
}

TEST_F(PoolTest, PoolsInDirectoriesBelowAreListed) {
  const auto pool = Open();
  std::filesystem::create_directories(dir_ + "/secondary/my-net");
  std::filesystem::copy(Path(), dir_ + "/secondary/my-net/10.0.0.0_29");
  EXPECT_THAT(*ListPools(dir_),
              ElementsAre("10.0.0.0_29", "secondary/my-net/10.0.0.0_29"));
}

TEST_F(PoolTest, ReaderShowsOwnersStatesAndAges) {
  const auto pool = Open();
  const Owner owner = *Owner::FromId("0123456789abcdef");
  Take(*pool, owner.token());
  clock_.Advance(seconds(5));
  Take(*pool, 2);
  clock_.Advance(seconds(2));
  pool->Release(Owner(2));
  clock_.Advance(seconds(1));

  EXPECT_THAT(*ListPools(dir_), ElementsAre("10.0.0.0_29"));
  const auto entries = ReadPool(Path(), clock_);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].address.ToString(), "10.0.0.1");
  EXPECT_EQ((*entries)[0].state, PoolEntry::State::kOwned);
  EXPECT_EQ((*entries)[0].owner.ToString(), "0123456789abc");
  EXPECT_EQ((*entries)[0].age, seconds(8));
  EXPECT_EQ((*entries)[1].address.ToString(), "10.0.0.2");
  EXPECT_EQ((*entries)[1].state, PoolEntry::State::kReleased);
  EXPECT_EQ((*entries)[1].age, seconds(1));
}

TEST_F(PoolTest, ReaderNamesWhatIsWrong) {
  EXPECT_EQ(ReadPool(dir_ + "/none").status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(dir_ + "/10.0.0.0_30") << "not a pool";
  EXPECT_EQ(ReadPool(dir_ + "/10.0.0.0_30").status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_THAT(*ListPools(dir_ + "/none"), IsEmpty());
}

// What is in the file when it is opened, and what must come of it.
struct Damage {
  const char* name;
  uint64_t offset;
  const char* bytes;
  size_t length;
};

class DamagedPoolTest : public PoolTest,
                        public testing::WithParamInterface<Damage> {};

TEST_P(DamagedPoolTest, IsSetAsideAndMadeAnew) {
  {
    const auto pool = Open();
    Take(*pool, 1);
  }
  {
    std::fstream file(Path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(GetParam().offset));
    file.write(GetParam().bytes,
               static_cast<std::streamsize>(GetParam().length));
    ASSERT_TRUE(file.good());
  }
  const auto pool = Open();
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
  EXPECT_THAT(SetAside(),
              ElementsAre(std::filesystem::path(pool->set_aside()).filename()));
  EXPECT_EQ(Take(*pool, 1), "10.0.0.1");
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedPoolTest,
    testing::Values(Damage{"Magic", 0, "garbage!", 8},
                    Damage{"Version", 8, "\x09", 1},
                    Damage{"FirstAddress", 16, "\x0b", 1},
                    Damage{"SlotCount", 32, "\xff\xff\xff\xff\xff\xff\xff", 7},
                    Damage{"InvalidTag", 4096,
                           "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
                    Damage{"FreeWithPayload", 4096 + 24, "\x01", 1},
                    Damage{"ReleasedInTheFuture", 4096 + 8,
                           "\xff\xff\xff\xff\xff\xff\x0f\x80", 8},
                    // Behind 8 slots and 8 stamps: a count of 0xffffffff.
                    Damage{"Ledger", 4096 + 128, "\xff\xff\xff\xff", 4},
                    Damage{"Appended", 8192, "x", 1}),
    [](const testing::TestParamInfo<Damage>& param) {
      return param.param.name;
    });

TEST_F(PoolTest, CountsThatAreTooLowAreRaised) {
  std::string address;
  {
    const auto pool = Open();
    address = Take(*pool, 1);
  }
  {
    // All 16 buckets, ledgers and entries, behind 8 slots and 8 stamps.
    std::fstream file(Path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 + 128);
    file << std::string(16 * 16, '\0');
  }
  const auto pool = Open();
  EXPECT_THAT(SetAside(), IsEmpty());
  EXPECT_EQ(Take(*pool, 1), address);
  EXPECT_EQ(pool->GetUsage().in_use, 1u);
  EXPECT_EQ(pool->Release(Owner(1)), 1u);
}

// The entries of a bucket that are lost, all set or those of others.
TEST_F(PoolTest, OwnersAreFoundWhateverTheHintsSay) {
  for (const char fill : {'\0', '\xff', '\x02'}) {
    std::string address;
    {
      const auto pool = Open();
      address = Take(*pool, 1);
      Take(*pool, 2);
    }
    {
      std::fstream file(Path(),
                        std::ios::in | std::ios::out | std::ios::binary);
      for (int bucket = 0; bucket < 16; ++bucket) {
        file.seekp(4096 + 128 + 16 * bucket + 8);
        file << std::string(8, fill);
      }
      // Bitmap and summary, behind the buckets.
      file.seekp(4096 + 128 + 16 * 16);
      file << std::string(16, fill);
    }
    const auto pool = Open();
    EXPECT_THAT(SetAside(), IsEmpty());
    EXPECT_EQ(Take(*pool, 1), address);
    EXPECT_EQ(pool->Find(Owner(3)), std::nullopt);
    for (uint64_t owner = 3; owner <= 6; ++owner) {
      EXPECT_THAT(Take(*pool, owner), HasSubstr("10.0.0."));
    }
    EXPECT_THAT(Take(*pool, 7), HasSubstr("6 of 6 in use"));
    for (uint64_t owner = 1; owner <= 6; ++owner) {
      EXPECT_EQ(pool->Release(Owner(owner)), 1u);
    }
    clock_.Advance(seconds(60));
  }
}

// Half of it excluded in one stretch, and more owners than buckets have
// entries for.
TEST_F(PoolTest, ALargePoolIsUsedUpAndGivenBack) {
  IpRange range = Range("10.0.0.0/20");
  range.Exclude(*IpRange::Parse("10.0.4.0-10.0.11.255"));
  const auto pool = Open(range);
  const uint64_t capacity = range.usable();
  std::set<std::string> addresses;
  for (uint64_t owner = 1; owner <= capacity; ++owner) {
    addresses.insert(Take(*pool, owner * 0x1000000000));
  }
  EXPECT_EQ(addresses.size(), capacity);
  EXPECT_THAT(Take(*pool, 1), HasSubstr("2046 of 2046 in use"));
  for (uint64_t owner = 1; owner <= capacity; ++owner) {
    EXPECT_NE(pool->Find(Owner(owner * 0x1000000000)), std::nullopt);
  }
  // One that was released is found among all the others.
  EXPECT_EQ(pool->Release(Owner(700 * 0x1000000000)), 1u);
  clock_.Advance(seconds(60));
  EXPECT_THAT(Take(*pool, 1), HasSubstr("10.0."));
  EXPECT_EQ(pool->Sweep([](Owner) { return false; }), capacity);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
}

TEST_F(PoolTest, AFileThatIsNoPoolIsSetAside) {
  std::filesystem::create_directory(Path());
  EXPECT_NE(Open(), nullptr);
  std::filesystem::remove(Path());
  std::filesystem::create_symlink("/etc/passwd", Path());
  EXPECT_NE(Open(), nullptr);
  std::ofstream(Path(), std::ios::trunc) << "";
  EXPECT_NE(Open(), nullptr);
  EXPECT_EQ(SetAside().size(), 3u);
}

TEST_F(PoolTest, AFileOfAnEarlierBootIsReplaced) {
  { Take(*Open(), 1); }
  // The boot id is inside the checksum, so the whole header is made for
  // another boot.
  std::string bytes;
  {
    std::ifstream file(Path(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  bytes[48] = bytes[48] == '0' ? '1' : '0';
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < 112; ++i) {
    hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001b3;
  }
  bytes.replace(112, 8, reinterpret_cast<const char*>(&hash), 8);
  std::ofstream(Path(), std::ios::binary) << bytes;
  EXPECT_EQ(ReadPool(Path(), clock_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const auto pool = Open();
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pool->GetUsage().in_use, 0u);
  EXPECT_THAT(SetAside(), IsEmpty());
}

TEST_F(PoolTest, ALeftoverOfAnInterruptedCreationIsNoObstacle) {
  std::ofstream(dir_ + "/.10.0.0.0_29.new") << "half";
  EXPECT_EQ(Take(*Open(), 1), "10.0.0.1");
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/.10.0.0.0_29.new"));
}

TEST_F(PoolTest, SaysWhyTheDirectoryCannotBeUsed) {
  std::ofstream(dir_ + "/file") << "";
  const auto pool = Pool::Open(dir_ + "/file/ipam", Range(), {});
  EXPECT_FALSE(pool.ok());
  EXPECT_THAT(std::string(pool.status().message()),
              HasSubstr("address pool 10.0.0.0/29: "));
}

TEST_F(PoolTest, ManagesAnIpv6Window) {
  const auto pool = Open(Range("fd00:10::/64"));
  EXPECT_EQ(Take(*pool, 1), "fd00:10::1");
  EXPECT_EQ(pool->GetUsage().capacity, 65535u);
  EXPECT_THAT(*ListPools(dir_), ElementsAre("fd00:10::_64"));
}

}  // namespace
}  // namespace pinion::ipam
