#include "runtime/cpu/pinning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/runtime/cpu/topologies.h"

namespace pinion::cpu {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Eight CPUs, of which 0 is reserved; siblings are {0,4} … {3,7}.
class PinningTest : public ::testing::Test {
 protected:
  PinningTest()
      : pinning_(
            *Allocator::Create(OneSocket(), Cpus("0")), NumaPolicy::kBestEffort,
            [this](const std::string& pod, const std::string& leaf,
                   const CpuSet& cpus, const CpuSet& mems) {
              return Write(absl::StrCat(pod, "/", leaf), cpus, mems);
            },
            [this](const std::string& pod, const std::string& leaf,
                   const CpuSet& cpus, Partition partition) {
              writes_.push_back(
                  absl::StrCat(partition == Partition::kNone ? "end " : "make ",
                               pod, "/", leaf, " ", cpus.ToString()));
              return partition == Partition::kNone ? end_error_
                                                   : partition_error_;
            },
            [this](const std::string& pod) -> std::optional<CpuSet> {
              const auto found = available_.find(pod);
              if (found == available_.end()) return std::nullopt;
              return found->second;
            },
            *metrics_) {}

  absl::StatusOr<CpuSet> Write(const std::string& leaf, const CpuSet& cpus,
                               const CpuSet& mems) {
    writes_.push_back(
        absl::StrCat(leaf, "=", cpus.ToString(),
                     mems.empty() ? "" : absl::StrCat("@", mems.ToString())));
    if (const auto error = errors_.find(leaf); error != errors_.end()) {
      return error->second;
    }
    if (const auto fixed = effective_.find(leaf); fixed != effective_.end()) {
      return fixed->second;
    }
    return cpus;
  }

  std::vector<std::string> TakeWrites() {
    return std::exchange(writes_, std::vector<std::string>());
  }

  std::unique_ptr<metrics::Registry> metrics_ = metrics::Registry::Create();
  std::vector<std::string> writes_;
  std::map<std::string, absl::Status> errors_;
  std::map<std::string, CpuSet> effective_;
  std::map<std::string, CpuSet> available_;
  absl::Status partition_error_;
  absl::Status end_error_;
  Pinning pinning_;
};

Request Count(size_t count) {
  Request request;
  request.count = count;
  return request;
}

Request Isolated(size_t count) {
  Request request = Count(count);
  request.partition = Partition::kIsolated;
  return request;
}

TEST_F(PinningTest, OthersLeaveBeforeTheOwnerEnters) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  ASSERT_TRUE(pinning_.Enter("c", "/q").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/b=0-7", "/q/c=0-7"));
  const auto grant = pinning_.Claim("a", Count(2));
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_EQ(grant->cpus, Cpus("1,5"));
  EXPECT_THAT(TakeWrites(),
              UnorderedElementsAre("/p/b=0,2-4,6-7", "/q/c=0,2-4,6-7"));
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5@0"));
}

TEST_F(PinningTest, ThePoolGrowsAfterARelease) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  TakeWrites();
  EXPECT_TRUE(pinning_.Release("a"));
  EXPECT_FALSE(pinning_.Release("a"));
  EXPECT_THAT(TakeWrites(), IsEmpty()) << "memory only";
  ASSERT_TRUE(pinning_.Spread().ok());
  // What is left in its leaf runs where everybody does.
  EXPECT_THAT(TakeWrites(), UnorderedElementsAre("/p/b=0-7", "/r/a=0-7"));
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
}

TEST_F(PinningTest, WhoLosesItsCpusIsKeptOffOthers) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  ASSERT_TRUE(pinning_.Claim("c", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("c", "/s").ok());
  EXPECT_EQ(pinning_.View().grants.at("c").cpus, Cpus("2,6"));
  TakeWrites();
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty()) << "nothing is known of the cgroups";

  // Some of them are enough to stay.
  available_["/r"] = Cpus("0-1");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
  // What is left of the pool, not c's 2.
  available_["/r"] = Cpus("2-4");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=3-4"));
  EXPECT_EQ(pinning_.View().grants.at("a").cpus, Cpus("1,5")) << "still its";
  // The same for who shares.
  available_["/p"] = Cpus("0-7");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
  available_["/r"] = Cpus("0-7");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5@0"));
  // Where all that is left is somebody's there is no better place.
  available_["/r"] = Cpus("2,6");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
}

TEST_F(PinningTest, WhatWasSeenBeforeDoesNotMoveWhoEnters) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  available_["/p"] = Cpus("0");
  ASSERT_TRUE(pinning_.Follow().ok());
  available_["/p"] = Cpus("0-7");
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  TakeWrites();
  ASSERT_TRUE(pinning_.Enter("a", "/p").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/a=1,5@0"));
}

TEST_F(PinningTest, APartitionKeepsItsCpusThoughTheCgroupAboveHasThemNoMore) {
  Request request = Count(2);
  request.partition = Partition::kIsolated;
  ASSERT_TRUE(pinning_.Claim("a", request).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  TakeWrites();
  available_["/r"] = Cpus("0,2-4,6-7");
  ASSERT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
}

TEST_F(PinningTest, AReplacementGetsTheCpusOfItsPredecessor) {
  ASSERT_TRUE(pinning_.Claim("a", Count(7)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_TRUE(
      absl::IsResourceExhausted(pinning_.Claim("b", Count(7)).status()));
  pinning_.Release("a");
  TakeWrites();
  // No Spread in between: the claim sees to it.
  ASSERT_TRUE(pinning_.Claim("b", Count(7)).ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=0"));
}

TEST_F(PinningTest, WhoCannotLeaveSpoilsTheClaim) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  errors_["/p/b"] = absl::InternalError("write: EIO");
  const auto grant = pinning_.Claim("a", Count(2));
  EXPECT_TRUE(absl::IsInternal(grant.status())) << grant.status();
  EXPECT_THAT(std::string(grant.status().message()), HasSubstr("EIO"));
  EXPECT_THAT(pinning_.View().grants, IsEmpty());
  errors_.clear();
  TakeWrites();
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/b=0-7"));
}

TEST_F(PinningTest, ALeafOutsideOfThePoolIsNoticed) {
  // Its slice has nothing of the pool: the kernel takes the slice's CPUs.
  effective_["/p/b"] = Cpus("5");
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  const auto grant = pinning_.Claim("a", Count(2));
  EXPECT_TRUE(absl::IsFailedPrecondition(grant.status())) << grant.status();
  EXPECT_THAT(pinning_.View().grants, IsEmpty());
}

TEST_F(PinningTest, ALeafOutsideOfThePoolSpoilsNoClaimOfOtherCpus) {
  ASSERT_TRUE(pinning_.Claim("x", Count(2)).ok());
  effective_["/p/b"] = Cpus("5");
  pinning_.Watch("b", "/p");
  EXPECT_TRUE(absl::IsFailedPrecondition(pinning_.Spread()));
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  ASSERT_TRUE(pinning_.Resize("a", Count(3)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(pinning_.Enter("x", "/s")))
      << "it is on one of these";
}

TEST_F(PinningTest, NorIsAnIdleSiblingGivenThatSomebodyIsOn) {
  effective_["/p/b"] = Cpus("5");
  pinning_.Watch("b", "/p");
  Request request = Count(1);
  request.own_cores = true;
  const auto grant = pinning_.Claim("a", request);
  EXPECT_TRUE(absl::IsFailedPrecondition(grant.status())) << grant.status();
}

// Its slice was given fewer CPUs before the daemon was started again.
TEST_F(PinningTest, WhoLacksSomeOfItsCpusIsInNobodysWay) {
  Grant grant;
  grant.cpus = Cpus("1,5");
  ASSERT_TRUE(pinning_.Restore("a", grant).ok());
  pinning_.Watch("a", "/r");
  effective_["/r/a"] = Cpus("1");
  EXPECT_TRUE(pinning_.Follow().ok());
  TakeWrites();
  EXPECT_TRUE(pinning_.Follow().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty()) << "there is nothing more to be had";
  ASSERT_TRUE(pinning_.Claim("b", Count(2)).ok());
  EXPECT_TRUE(pinning_.Enter("b", "/p").ok());
  EXPECT_TRUE(pinning_.Resize("b", Count(3)).ok());
}

TEST_F(PinningTest, APartitionThatIsInvalidIsInNobodysWay) {
  Grant grant;
  grant.cpus = Cpus("1,5");
  grant.partition = Partition::kIsolated;
  ASSERT_TRUE(pinning_.Restore("a", grant).ok());
  pinning_.Watch("a", "/r");
  partition_error_ = absl::FailedPreconditionError("isolated invalid");
  EXPECT_FALSE(pinning_.Spread().ok());
  ASSERT_TRUE(pinning_.Claim("b", Count(2)).ok());
  EXPECT_TRUE(pinning_.Enter("b", "/p").ok());
}

TEST_F(PinningTest, APartitionThatCannotBeEndedStopsOnlyWhoWantsItsCpus) {
  ASSERT_TRUE(pinning_.Claim("a", Isolated(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_TRUE(pinning_.Forget("a"));
  end_error_ = absl::ResourceExhaustedError("EMFILE");
  EXPECT_TRUE(pinning_.Enter("b", "/p").ok());
  EXPECT_TRUE(
      absl::IsResourceExhausted(pinning_.Claim("c", Count(2)).status()));
}

TEST_F(PinningTest, ExclusiveCpusThatTheSliceLacksAreRefused) {
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  effective_["/r/a"] = Cpus("1");
  const absl::Status status = pinning_.Enter("a", "/r");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"1\""));
}

TEST_F(PinningTest, GrowingWaitsUntilTheOthersHaveLeft) {
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  TakeWrites();
  ASSERT_TRUE(pinning_.Resize("a", Count(4)).ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/b=0,3-4,7", "/r/a=1-2,5-6@0"));
  pinning_.KeepResize("a");
  // It leaves first, and nobody comes before that is kept.
  ASSERT_TRUE(pinning_.Resize("a", Count(2)).ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5@0"));
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_exclusive 4\n"));
  pinning_.KeepResize("a");
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_exclusive 2\n"));
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/b=0,2-4,6-7"));
}

TEST_F(PinningTest, AnUndoneResizeBringsEverybodyBack) {
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  ASSERT_TRUE(pinning_.Resize("a", Count(4)).ok());
  TakeWrites();
  ASSERT_TRUE(pinning_.UndoResize("a").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5@0", "/p/b=0,2-4,6-7"));
  // The slice of its pod has no more.
  effective_["/r/a"] = Cpus("1,5");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(pinning_.Resize("a", Count(4)).status()));
  EXPECT_EQ(pinning_.View().grants.at("a").cpus, Cpus("1,5"));
  EXPECT_EQ(pinning_.View().shared, Cpus("0,2-4,6-7"));
}

TEST_F(PinningTest, APartitionEndsBeforeItsCpusChangeHands) {
  ASSERT_TRUE(pinning_.Claim("a", Isolated(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5@0", "make /r/a 1,5"));
  ASSERT_TRUE(pinning_.Resize("a", Isolated(4)).ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("end /r/a 1,5", "/r/a=1-2,5-6@0",
                                        "make /r/a 1-2,5-6"));
  pinning_.KeepResize("a");
  pinning_.Release("a");
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("end /r/a 1-2,5-6", "/r/a=0-7"));
}

TEST_F(PinningTest, AForgottenPartitionEndsBeforeTheNextOfItsCpus) {
  ASSERT_TRUE(pinning_.Claim("a", Isolated(7)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_TRUE(pinning_.Release("a"));
  EXPECT_TRUE(pinning_.Forget("a")) << "its partition is to be ended";
  EXPECT_FALSE(pinning_.Forget("a"));
  TakeWrites();
  ASSERT_TRUE(pinning_.Claim("b", Isolated(7)).ok());
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  EXPECT_THAT(TakeWrites(),
              ElementsAre("end /r/a 1-7", "/p/b=1-7@0", "make /p/b 1-7"));
}

TEST_F(PinningTest, WhatCannotBeAPartitionDoesNotStart) {
  ASSERT_TRUE(pinning_.Claim("a", Isolated(2)).ok());
  partition_error_ = absl::FailedPreconditionError("isolated invalid");
  EXPECT_TRUE(absl::IsFailedPrecondition(pinning_.Enter("a", "/r")));
}

TEST_F(PinningTest, APartitionThatCouldNotBeEndedIsEndedLater) {
  ASSERT_TRUE(pinning_.Claim("a", Isolated(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_TRUE(pinning_.Forget("a"));
  end_error_ = absl::ResourceExhaustedError("EMFILE");
  EXPECT_FALSE(pinning_.Spread().ok());
  end_error_ = absl::OkStatus();
  TakeWrites();
  EXPECT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("end /r/a 1,5"));
}

TEST_F(PinningTest, AnEntryThatFailsLateLeavesNoPartition) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  ASSERT_TRUE(pinning_.Claim("a", Isolated(2)).ok());
  // Somebody came back to the CPUs meanwhile, and cannot leave.
  pinning_.Watch("b", "/p");
  errors_["/p/b"] = absl::InternalError("stuck");
  EXPECT_FALSE(pinning_.Enter("a", "/r").ok());
  TakeWrites();
  errors_.clear();
  EXPECT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("end /r/a 1,5", "/p/b=0,2-4,6-7"));
}

TEST_F(PinningTest, APartitionThatCouldNotBeMadeIsTriedAgain) {
  Grant grant;
  grant.cpus = Cpus("1,5");
  grant.partition = Partition::kIsolated;
  ASSERT_TRUE(pinning_.Restore("a", grant).ok());
  pinning_.Watch("a", "/r");
  partition_error_ = absl::UnavailableError("EBUSY");
  EXPECT_FALSE(pinning_.Spread().ok());
  partition_error_ = absl::OkStatus();
  TakeWrites();
  EXPECT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(),
              ElementsAre("end /r/a 1,5", "/r/a=1,5@0", "make /r/a 1,5"));
}

TEST_F(PinningTest, RestartLeavesAPartitionThatIsInForce) {
  Grant grant;
  grant.cpus = Cpus("1,5");
  grant.partition = Partition::kIsolated;
  ASSERT_TRUE(pinning_.Restore("a", grant).ok());
  pinning_.Watch("a", "/r", Cpus("1,5"), true);
  // Its container ended while no daemon was there.
  pinning_.Watch("gone", "/q", Cpus("2,6"), false);
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(),
              ElementsAre("end /q/gone 2,6", "/q/gone=0,2-4,6-7"));
}

TEST_F(PinningTest, MemoryThatIsNamedIsLeftAlone) {
  Request request = Count(2);
  request.names_memory = true;
  ASSERT_TRUE(pinning_.Claim("a", request).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1,5"));
}

TEST_F(PinningTest, MemoryThatAnUpdateNamesIsLeftAloneFromThenOn) {
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  ASSERT_TRUE(pinning_.Enter("a", "/r").ok());
  Request request = Count(2);
  request.names_memory = true;
  ASSERT_TRUE(pinning_.Resize("a", request).ok());
  ASSERT_TRUE(pinning_.UndoResize("a").ok());
  EXPECT_FALSE(pinning_.View().grants.at("a").names_memory);
  ASSERT_TRUE(pinning_.Resize("a", request).ok());
  pinning_.KeepResize("a");
  TakeWrites();
  request.count = 4;
  ASSERT_TRUE(pinning_.Resize("a", request).ok());
  ASSERT_TRUE(pinning_.UndoResize("a").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/r/a=1-2,5-6", "/r/a=1,5"));
}

TEST_F(PinningTest, LeavesThatAreGoneAreForgotten) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  errors_["/p/b"] = absl::NotFoundError("gone");
  EXPECT_TRUE(pinning_.Claim("a", Count(2)).ok());
  TakeWrites();
  pinning_.Release("a");
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
}

TEST_F(PinningTest, ForgottenLeavesAreNotWritten) {
  ASSERT_TRUE(pinning_.Enter("b", "/p").ok());
  EXPECT_FALSE(pinning_.Forget("b"));
  TakeWrites();
  ASSERT_TRUE(pinning_.Claim("a", Count(2)).ok());
  EXPECT_THAT(TakeWrites(), IsEmpty());
}

TEST_F(PinningTest, RestartWritesWhatIsThere) {
  Grant grant;
  grant.cpus = Cpus("1,5");
  ASSERT_TRUE(pinning_.Restore("a", grant).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(pinning_.Restore("x", grant)));
  pinning_.Watch("a", "/r");
  pinning_.Watch("b", "/p");
  ASSERT_TRUE(pinning_.Spread().ok());
  EXPECT_THAT(TakeWrites(),
              UnorderedElementsAre("/r/a=1,5@0", "/p/b=0,2-4,6-7"));
}

TEST_F(PinningTest, MonitorsStayOnTheReservedCpus) {
  ASSERT_TRUE(pinning_.KeepMonitor("/p").ok());
  EXPECT_THAT(TakeWrites(), ElementsAre("/p/monitor=0"));
  effective_["/p/monitor"] = Cpus("3");
  EXPECT_TRUE(absl::IsFailedPrecondition(pinning_.KeepMonitor("/p")));
}

TEST_F(PinningTest, GaugesFollow) {
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_shared_pool 8\n"));
  Request request = Count(1);
  request.own_cores = true;
  ASSERT_TRUE(pinning_.Claim("a", request).ok());
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_shared_pool 6\n"));
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_exclusive 2\n"));
  pinning_.Release("a");
  EXPECT_THAT(metrics_->Render(), HasSubstr("pinion_cpu_exclusive 0\n"));
}

}  // namespace
}  // namespace pinion::cpu
