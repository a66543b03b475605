#include "tools/cpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/cpu/allocator.h"
#include "tests/support/recorded_machine.h"

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

CpuSet Cpus(std::string_view list) { return *CpuSet::Parse(list); }

CpuMap Small() {
  CpuMap map;
  map.policy = "static";
  for (int id = 0; id < 4; ++id) map.cpus.push_back({id, id, id / 2, id / 2});
  map.reserved = Cpus("0");
  map.shared = Cpus("0-1");
  map.owners = {
      {"0123456789abcdef", "default/fast/main", Cpus("2-3"), {}, "", ""}};
  return map;
}

// What the allocator gives to three containers on a recorded machine.
CpuMap Recorded(const std::string& machine, std::string_view reserved) {
  const auto topology = testing::RecordedMachine(machine);
  EXPECT_TRUE(topology.ok()) << topology.status();
  auto cpus = cpu::Allocator::Create(*topology, Cpus(reserved));
  EXPECT_TRUE(cpus.ok()) << cpus.status();
  EXPECT_TRUE(cpus->Allocate("db/pg-0/postgres", {.count = 16}).ok());
  EXPECT_TRUE(cpus->Allocate("ml/train/worker", {.count = 70, .node = 1}).ok());
  EXPECT_TRUE(
      cpus->Allocate("trade/md/feed", {.count = 3, .own_cores = true}).ok());
  CpuMap map;
  map.policy = "static";
  for (const cpu::Cpu& cpu : topology->cpus()) {
    map.cpus.push_back({cpu.id, cpu.core, cpu.socket, cpu.node});
  }
  map.reserved = cpus->reserved();
  map.shared = cpus->Shared();
  for (const auto& [owner, grant] : cpus->grants()) {
    map.owners.push_back(
        {"0123456789abcdef", owner, grant.cpus, grant.idle, "", ""});
  }
  return map;
}

TEST(CpusTest, FourCpus) {
  EXPECT_EQ(RenderCpuMap(Small(), Terminal()),
            "4 CPUs: 2 sockets, 2 NUMA nodes, 4 cores; cpu.policy static\n"
            "\n"
            "node 0, socket 0: CPUs 0-1\n"
            "    0  [*][.]\n"
            "\n"
            "node 1, socket 1: CPUs 2-3\n"
            "    2  [A][A]\n"
            "\n"
            ".  shared pool (2): 0-1\n"
            "*  of it reserved (1): 0\n"
            "\n"
            "   CPUS  NUMBER  NODE  CONTAINER\n"
            "A  2-3   2       1     default/fast/main (0123456789abc)\n");
}

TEST(CpusTest, TwoHundredAndFiftySixCpus) {
  EXPECT_EQ(
      RenderCpuMap(Recorded("epyc_7742_x2", "0,128"), Terminal()),
      "256 CPUs: 2 sockets, 2 NUMA nodes, 128 cores; cpu.policy static\n"
      "\n"
      "node 0, socket 0: CPUs 0-63,128-191\n"
      "    0  "
      "[**][AA][AA][AA][AA][AA][AA][AA][AA][..][..][..][..][..][..][..]\n"
      "   16  "
      "[..][..][..][..][..][..][..][..][..][..][..][..][..][..][..][..]\n"
      "   32  "
      "[..][..][..][..][..][..][..][..][..][..][..][..][..][..][..][..]\n"
      "   48  "
      "[..][..][..][..][..][..][..][..][..][..][..][..][..][..][..][..]\n"
      "\n"
      "node 1, socket 1: CPUs 64-127,192-255\n"
      "   64  "
      "[BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB]\n"
      "   80  "
      "[BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB][BB]\n"
      "   96  "
      "[BB][BB][BB][CC][C-][..][..][..][..][..][..][..][..][..][..][..]\n"
      "  112  "
      "[..][..][..][..][..][..][..][..][..][..][..][..][..][..][..][..]\n"
      "\n"
      ".  shared pool (166): 0,9-63,101-128,137-191,229-255\n"
      "*  of it reserved (2): 0,128\n"
      "-  kept idle beside a sibling (1): 228\n"
      "\n"
      "   CPUS           NUMBER      NODE  CONTAINER\n"
      "A  1-8,129-136    16          0     db/pg-0/postgres (0123456789abc)\n"
      "B  64-98,192-226  70          1     ml/train/worker (0123456789abc)\n"
      "C  99-100,227     3 + 1 idle  1     trade/md/feed (0123456789abc)\n");
}

TEST(CpusTest, FourThreadsACore) {
  EXPECT_EQ(
      RenderCpuMap(Recorded("thunderx2_x2", "0"), Terminal()),
      "256 CPUs: 2 sockets, 2 NUMA nodes, 64 cores; cpu.policy static\n"
      "\n"
      "node 0, socket 0: CPUs 0-31,64-95,128-159,192-223\n"
      "    0  [*...][AAAA][AAAA][AAAA][AAAA][....][....][....]\n"
      "    8  [....][....][....][....][....][....][....][....]\n"
      "   16  [....][....][....][....][....][....][....][....]\n"
      "   24  [....][....][....][....][....][....][....][....]\n"
      "\n"
      "node 1, socket 1: CPUs 32-63,96-127,160-191,224-255\n"
      "   32  [BBBB][BBBB][BBBB][BBBB][BBBB][BBBB][BBBB][BBBB]\n"
      "   40  [BBBB][BBBB][BBBB][BBBB][BBBB][BBBB][BBBB][BBBB]\n"
      "   48  [BBBB][BB..][CCC-][....][....][....][....][....]\n"
      "   56  [....][....][....][....][....][....][....][....]\n"
      "\n"
      ".  shared pool (166): "
      "0,5-31,51-64,69-95,115-128,133-159,177,179-192,197-223,241,243-255\n"
      "*  of it reserved (1): 0\n"
      "-  kept idle beside a sibling (1): 242\n"
      "\n"
      "   CPUS                          NUMBER      NODE  CONTAINER\n"
      "A  1-4,65-68,129-132,193-196     16          0     db/pg-0/postgres "
      "(0123456789abc)\n"
      "B  32-49,96-113,160-176,224-240  70          1     ml/train/worker "
      "(0123456789abc)\n"
      "C  50,114,178                    3 + 1 idle  1     trade/md/feed "
      "(0123456789abc)\n");
}

TEST(CpusTest, WithoutPinningEverythingIsShared) {
  CpuMap map = Small();
  map.policy = "none";
  map.reserved = CpuSet();
  map.shared = Cpus("0-3");
  map.owners.clear();
  EXPECT_EQ(RenderCpuMap(map, Terminal()),
            "4 CPUs: 2 sockets, 2 NUMA nodes, 4 cores; cpu.policy none\n"
            "\n"
            "node 0, socket 0: CPUs 0-1\n"
            "    0  [.][.]\n"
            "\n"
            "node 1, socket 1: CPUs 2-3\n"
            "    2  [.][.]\n"
            "\n"
            ".  shared pool (4): 0-3\n");
}

TEST(CpusTest, MoreOwnersThanLetters) {
  CpuMap map;
  map.policy = "static";
  for (int id = 0; id < 100; ++id) {
    map.cpus.push_back({id, id, 0, 0});
    CpuSet one;
    one.Add(id);
    map.owners.push_back({"id", "a/b/c", one, {}, "", ""});
  }
  EXPECT_THAT(RenderCpuMap(map, Terminal()), HasSubstr("[8][9][#]"));
}

TEST(CpusTest, APartitionIsShownAsTheKernelHasIt) {
  CpuMap map = Small();
  map.owners[0].partition = "isolated";
  EXPECT_THAT(RenderCpuMap(map, Terminal()),
              HasSubstr("A  2-3   2, partition: isolated  1     default"));
  EXPECT_THAT(CpuMapJson(map), HasSubstr("\"partition\": \"isolated\""));
  map.owners[0].partition.clear();
  map.owners[0].astray_on = "0-3";
  EXPECT_THAT(RenderCpuMap(map, Terminal()),
              HasSubstr("A  2-3   2, RUNS ON 0-3  1  "));
  EXPECT_THAT(CpuMapJson(map), HasSubstr("\"astray_on\": \"0-3\""));
  map.owners[0].astray_on = "-";
  EXPECT_THAT(RenderCpuMap(map, Terminal()),
              HasSubstr("2, NOT KEPT: no cpuset"));
}

TEST(CpusTest, WhoElseWasGivenThemIsNamed) {
  CpuMap map = Small();
  map.owners[0].shared_with = {"shop/web/a", "shop/web/b"};
  EXPECT_THAT(RenderCpuMap(map, Terminal()),
              HasSubstr("A  2-3   2, SHARED WITH shop/web/a shop/web/b  1  "));
  EXPECT_THAT(CpuMapJson(map), HasSubstr("\"shared_with\": [\n"));
}

TEST(CpusTest, Json) {
  const std::string json = CpuMapJson(Small());
  EXPECT_THAT(json, HasSubstr("\"policy\": \"static\""));
  EXPECT_THAT(json, HasSubstr("\"container\": \"default/fast/main\""));
  EXPECT_THAT(json, HasSubstr("\"cpus\": \"2-3\""));
  EXPECT_THAT(json, HasSubstr("\"reserved\": \"0\""));
}

}  // namespace
}  // namespace pinion::tools
