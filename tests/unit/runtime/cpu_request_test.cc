#include "runtime/cpu_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace pinion::runtime {
namespace {

using ::testing::HasSubstr;

using Annotations = std::map<std::string, std::string>;

state::PodSpec Pod(const Annotations& annotations) {
  state::PodSpec pod;
  for (const auto& [key, value] : annotations) {
    (*pod.mutable_annotations())[key] = value;
  }
  return pod;
}

state::Resources Quota(int64_t quota, int64_t period = 100000,
                       int64_t shares = 0) {
  state::Resources resources;
  resources.set_cpu_quota_us(quota);
  resources.set_cpu_period_us(period);
  resources.set_cpu_shares(shares);
  return resources;
}

// 0: the shared pool.
size_t CountOf(const state::Resources& resources,
               const Annotations& annotations = {}) {
  const auto request = CpuRequestOf(Pod(annotations), resources);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.ok() && *request ? (*request)->count : 0;
}

TEST(CpuRequestTest, WholeCpusAreExclusive) {
  EXPECT_EQ(CountOf(Quota(100000)), 1u);
  EXPECT_EQ(CountOf(Quota(200000)), 2u);
  EXPECT_EQ(CountOf(Quota(30000, 10000)), 3u);
  EXPECT_EQ(CountOf(Quota(200000, 0)), 2u) << "the kernel's period";
  EXPECT_EQ(CountOf(Quota(200000, 100000, 2048)), 2u);
  EXPECT_EQ(CountOf(Quota(300 * 100000, 100000, 262144)), 300u);
  EXPECT_EQ(CountOf(Quota(INT64_MAX / 4 * 4, 4)), uint64_t{INT64_MAX / 4})
      << "more than any machine has: it will not fit";
}

TEST(CpuRequestTest, EverythingElseIsShared) {
  EXPECT_EQ(CountOf(state::Resources()), 0u);
  EXPECT_EQ(CountOf(Quota(-1)), 0u);
  EXPECT_EQ(CountOf(Quota(50000)), 0u);
  EXPECT_EQ(CountOf(Quota(150000)), 0u);
  EXPECT_EQ(CountOf(Quota(200000, 100000, 102)), 0u) << "Burstable";
}

TEST(CpuRequestTest, AGrantIsKeptForTheSameNumberOnly) {
  cpu::Grant two;
  two.cpus = *CpuSet::Parse("2-3");
  const auto check = [&](const state::Resources& resources,
                         const Annotations& annotations = {}) {
    return CheckStillAskedFor(two, CpuRequestOf(Pod(annotations), resources));
  };
  EXPECT_TRUE(check(Quota(200000)).ok());
  EXPECT_TRUE(check(Quota(50000), {{"cpu.pinion.dev/cpus", "2"}}).ok());
  EXPECT_THAT(std::string(check(Quota(300000)).message()),
              HasSubstr("had 2 and asks for 3"));
  EXPECT_TRUE(absl::IsFailedPrecondition(check(Quota(150000))));
  state::Resources named = Quota(200000);
  named.set_cpuset_cpus("1");
  EXPECT_TRUE(absl::IsFailedPrecondition(check(named)));
  state::Resources refused = Quota(200000);
  (*refused.mutable_unified())["cpuset.cpus.partition"] = "root";
  EXPECT_TRUE(absl::IsInvalidArgument(check(refused)));
}

TEST(CpuRequestTest, ThePodsPartitionIsKnownWithoutARequest) {
  const std::string key = "cpu.pinion.dev/isolation";
  EXPECT_EQ(PartitionAskedFor(Pod({})), cpu::Partition::kNone);
  EXPECT_EQ(PartitionAskedFor(Pod({{key, "root"}})), cpu::Partition::kRoot);
  EXPECT_EQ(PartitionAskedFor(Pod({{key, "partition"}})),
            cpu::Partition::kIsolated);
  EXPECT_EQ(PartitionAskedFor(Pod({{key, "?"}})), cpu::Partition::kNone);
}

TEST(CpuRequestTest, TheCallersOwnCpusetStands) {
  state::Resources resources = Quota(200000);
  resources.set_cpuset_cpus("2-3");
  EXPECT_EQ(CountOf(resources), 0u);
  EXPECT_TRUE(NamesCpus(resources));
  resources.clear_cpuset_cpus();
  (*resources.mutable_unified())["cpuset.cpus"] = "1";
  EXPECT_EQ(CountOf(resources, {{"cpu.pinion.dev/cpus", "2"}}), 0u);
}

TEST(CpuRequestTest, AnnotationsRefine) {
  const Annotations annotations = {{"cpu.pinion.dev/cpus", "3"},
                                   {"cpu.pinion.dev/node", "1"},
                                   {"cpu.pinion.dev/own-cores", "true"},
                                   {"cpu.pinion.dev/isolation", "none"},
                                   {"other.dev/cpus", "x"}};
  const auto request = CpuRequestOf(Pod(annotations), state::Resources());
  ASSERT_TRUE(request.ok()) << request.status();
  ASSERT_TRUE(request->has_value());
  EXPECT_EQ((*request)->count, 3u);
  EXPECT_EQ((*request)->node, 1);
  EXPECT_TRUE((*request)->own_cores);
  EXPECT_EQ(CountOf(Quota(200000), annotations), 2u) << "the quota counts";
  EXPECT_EQ(CountOf(Quota(50000), {{"cpu.pinion.dev/node", "1"}}), 0u);
}

TEST(CpuRequestTest, RefusesWhatItDoesNotUnderstand) {
  for (const auto& [name, value] : Annotations{{"node", "-1"},
                                               {"own-cores", "yes"},
                                               {"isolation", "full"},
                                               {"core", "1"}}) {
    const auto request = CpuRequestOf(Pod({{"cpu.pinion.dev/" + name, value}}),
                                      state::Resources());
    EXPECT_TRUE(absl::IsInvalidArgument(request.status()))
        << name << "=" << value;
  }
  for (const char* value : {"0", "", "02", "+2", " 2", "8192", "two"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        CpuRequestOf(Pod({{"cpu.pinion.dev/cpus", value}}), {}).status()))
        << value;
  }
}

TEST(CpuRequestTest, KnowsPartitions) {
  const auto request = CpuRequestOf(
      Pod({{"cpu.pinion.dev/isolation", "partition"}}), Quota(200000));
  ASSERT_TRUE(request.ok() && *request) << request.status();
  EXPECT_EQ((*request)->partition, cpu::Partition::kIsolated);
}

TEST(CpuRequestTest, RefusesPartitionsBesideItsOwn) {
  for (const char* file : {"cpuset.cpus.exclusive", "cpuset.cpus.partition"}) {
    for (state::Resources resources : {Quota(200000), state::Resources()}) {
      (*resources.mutable_unified())[file] = "";
      const absl::Status refused = CpuRequestOf(Pod({}), resources).status();
      EXPECT_TRUE(absl::IsInvalidArgument(refused)) << file;
      EXPECT_THAT(std::string(refused.message()),
                  HasSubstr("annotation cpu.pinion.dev/isolation"));
      resources.set_cpuset_cpus("2-3");
      EXPECT_FALSE(CpuRequestOf(Pod({}), resources).ok()) << file;
    }
  }
}

TEST(CpuRequestTest, AnnotationsNeedThePolicy) {
  EXPECT_TRUE(RefuseCpuAnnotations(Pod({{"a/b", "c"}})).ok());
  const absl::Status status =
      RefuseCpuAnnotations(Pod({{"cpu.pinion.dev/cpus", "2"}}));
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("cpu.policy"));
}

}  // namespace
}  // namespace pinion::runtime
