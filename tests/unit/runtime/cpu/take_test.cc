#include "runtime/cpu/take.h"

#include <gtest/gtest.h>

#include "tests/unit/runtime/cpu/topologies.h"

namespace pinion::cpu {
namespace {

std::string Taken(const Topology& topology, std::string_view free,
                  size_t count) {
  const auto taken = TakeCpus(topology, Cpus(free), count);
  return taken ? taken->ToString() : "none";
}

// What the kubelet's static policy answers to the same questions
// (cpu_assignment_test.go of Kubernetes 1.36).
TEST(TakeCpusTest, GivesTheKubeletsSetsOnOneSocket) {
  const Topology machine = OneSocket();
  EXPECT_EQ(Taken(machine, "0-7", 1), "0");
  EXPECT_EQ(Taken(machine, "1,3,5-7", 1), "6");
  EXPECT_EQ(Taken(machine, "0-7", 2), "0,4");
  EXPECT_EQ(Taken(machine, "0-7", 8), "0-7");
  EXPECT_EQ(Taken(machine, "0-3,6", 2), "2,6");
}

TEST(TakeCpusTest, GivesTheKubeletsSetsOnTwoSockets) {
  const Topology machine = TwoSockets();
  EXPECT_EQ(Taken(machine, "1-5,7-11", 1), "2");
  EXPECT_EQ(Taken(machine, "0-11", 6), "0,2,4,6,8,10");
  EXPECT_EQ(Taken(machine, "0-11", 8), "0-2,4,6-8,10");
}

TEST(TakeCpusTest, GivesTheKubeletsSetsOnSocketsOfSeveralNodes) {
  const Topology machine = FourNodes();
  EXPECT_EQ(Taken(machine, "0-79", 20), "0-9,40-49");
  EXPECT_EQ(Taken(machine, "10-39,50-79", 20), "10-19,50-59");
  EXPECT_EQ(Taken(machine, "0-79", 60), "0-29,40-69");
  EXPECT_EQ(Taken(machine, "1-39,41-79", 60), "10-39,50-79");
  EXPECT_EQ(Taken(machine, "0-79", 64), "0-31,40-71");
}

TEST(TakeCpusTest, TakesNothingWhereThereIsNotEnough) {
  EXPECT_EQ(Taken(OneSocket(), "0-3", 5), "none");
  EXPECT_EQ(Taken(OneSocket(), "", 1), "none");
}

TEST(TakeCoresTest, TakesNoCoreThatIsShared) {
  const Topology machine = OneSocket();
  EXPECT_EQ(TakeCores(machine, Cpus("0-3,6"), 1)->ToString(), "2,6");
  EXPECT_EQ(TakeCores(machine, Cpus("0-7"), 3)->ToString(), "0-1,4-5");
  EXPECT_FALSE(TakeCores(machine, Cpus("0-3,6"), 3).has_value());
}

}  // namespace
}  // namespace pinion::cpu
