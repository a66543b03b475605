#include "runtime/cpu/topology.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/recorded_machine.h"
#include "tests/support/scratch_dir.h"
#include "tests/unit/runtime/cpu/topologies.h"

namespace pinion::cpu {
namespace {

class TopologyTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = dir_.path() + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void WriteCpu(int id, const std::string& siblings,
                const std::string& socket) {
    const std::string dir = "cpu/cpu" + std::to_string(id) + "/topology/";
    Write(dir + "thread_siblings_list", siblings + "\n");
    Write(dir + "physical_package_id", socket + "\n");
  }

  testing::ScratchDir dir_;
};

TEST_F(TopologyTest, ReadsCoresSocketsAndNodes) {
  Write("cpu/online", "0-3\n");
  Write("node/online", "0-1\n");
  Write("node/node0/cpulist", "0,2\n");
  Write("node/node1/cpulist", "1,3\n");
  WriteCpu(0, "0,2", "0");
  WriteCpu(1, "1,3", "1");
  WriteCpu(2, "0,2", "0");
  WriteCpu(3, "1,3", "1");
  const auto topology = Topology::Read(dir_.path());
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->At(3), (Cpu{3, 1, 1, 1}));
  EXPECT_EQ(topology->cores().at(0), Cpus("0,2"));
  EXPECT_EQ(topology->sockets().at(1), Cpus("1,3"));
  EXPECT_EQ(topology->NodesOf(Cpus("0,1")), Cpus("0-1"));
}

// 256 CPUs: AMD EPYC 7742, two sockets.
TEST_F(TopologyTest, ReadsALargeMachine) {
  const auto recorded = testing::RecordedMachine("epyc_7742_x2");
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  Write("cpu/online", recorded->all().ToString());
  Write("node/online", "0-1\n");
  for (const auto& [node, cpus] : recorded->nodes()) {
    Write("node/node" + std::to_string(node) + "/cpulist", cpus.ToString());
  }
  for (const Cpu& cpu : recorded->cpus()) {
    WriteCpu(cpu.id, recorded->cores().at(cpu.core).ToString(),
             std::to_string(cpu.socket));
  }
  const auto topology = Topology::Read(dir_.path());
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->cpus(), recorded->cpus());
  EXPECT_EQ(topology->cores().size(), 128u);
  EXPECT_EQ(topology->At(255), (Cpu{255, 127, 1, 1}));
  EXPECT_EQ(topology->nodes().at(0), Cpus("0-63,128-191"));
}

TEST_F(TopologyTest, ReadsAMachineWithoutNumaAndWithoutSockets) {
  Write("cpu/online", "0,2\n");
  WriteCpu(0, "0", "-1");
  WriteCpu(2, "2", "-1");
  const auto topology = Topology::Read(dir_.path());
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->all(), Cpus("0,2"));
  EXPECT_EQ(topology->At(2), (Cpu{2, 2, 0, 0}));
}

TEST_F(TopologyTest, RefusesFilesThatContradictEachOther) {
  Write("cpu/online", "0\n");
  WriteCpu(0, "1", "0");
  EXPECT_TRUE(absl::IsFailedPrecondition(Topology::Read(dir_.path()).status()));
  WriteCpu(0, "0", "many");
  EXPECT_TRUE(absl::IsFailedPrecondition(Topology::Read(dir_.path()).status()));
}

TEST_F(TopologyTest, ReadsThisMachine) {
  const auto topology = Topology::Read("/sys/devices/system");
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->cpus().size(), topology->all().size());
}

TEST_F(TopologyTest, HasEveryCpuOnce) {
  EXPECT_FALSE(Topology::Create({}).ok());
  EXPECT_FALSE(Topology::Create({{0, 0, 0, 0}, {0, 0, 0, 0}}).ok());
}

}  // namespace
}  // namespace pinion::cpu
