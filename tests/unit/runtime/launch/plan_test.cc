#include "runtime/launch/plan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "runtime/launch/plan_writer.h"

namespace pinion::launch {
namespace {

LaunchSpec FullSpec() {
  LaunchSpec spec;
  spec.argv = {"sh", "-c", "", "echo \"x\""};
  spec.env = {"A=1", "EMPTY="};
  spec.working_dir = "/srv";
  spec.uid = 1000;
  spec.gid = 1001;
  spec.groups = {7, 8};
  spec.umask = 027;
  spec.capabilities = {1, 2, 3, 4};
  spec.no_new_privs = true;
  spec.seccomp_program = std::string(24, '\1');
  spec.apparmor_profile = "pinion-default";
  spec.rlimits = {{7, 100, 200}};
  spec.oom_score_adj = -5;
  spec.set_oom_score_adj = true;
  spec.pid_namespace = PidNamespace::kTarget;
  spec.target_pid = 99;
  spec.target_start_ticks = 12345678901;
  spec.rootfs = {"/var/lib/pinion", {"layers/2", "layers/1"}, "u", "w"};
  spec.kernel_mounts = {{"proc", "/proc", "", 14}, {"tmpfs", "/dev", "x", 0}};
  spec.devices = {{"/dev/loop", 'b', 7, 1, 0600, 3, 4}};
  spec.symlinks = {{"/dev/fd", "/proc/self/fd"}};
  BindMount mount;
  mount.source = "/a";
  mount.target = "/b";
  mount.readonly = true;
  mount.propagation = Propagation::kShared;
  spec.mounts = {mount};
  spec.masked_paths = {"/proc/kcore"};
  spec.readonly_paths = {"/proc/sys", "/proc/bus"};
  return spec;
}

TEST(PlanTest, EverythingComesThrough) {
  const std::string bytes = EncodePlan(FullSpec());
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  const WireHeader& h = plan.header();
  EXPECT_EQ(h.uid, 1000u);
  EXPECT_EQ(h.gid, 1001u);
  EXPECT_EQ(h.umask, 027u);
  EXPECT_EQ(h.oom_score_adj, -5);
  EXPECT_EQ(h.target_pid, 99);
  EXPECT_EQ(h.target_start_ticks, 12345678901u);
  EXPECT_EQ(h.cap_bounding, 1u);
  EXPECT_EQ(h.cap_effective, 2u);
  EXPECT_EQ(h.cap_permitted, 3u);
  EXPECT_EQ(h.cap_ambient, 4u);
  EXPECT_TRUE(plan.Has(kFlagNoNewPrivs));
  EXPECT_TRUE(plan.Has(kFlagSetOomScoreAdj));
  EXPECT_FALSE(plan.Has(kFlagTerminal));
  EXPECT_STREQ(plan.String(h.working_dir), "/srv");
  EXPECT_STREQ(plan.String(h.apparmor_profile), "pinion-default");
  EXPECT_STREQ(plan.String(h.base_dir), "/var/lib/pinion");
  EXPECT_STREQ(plan.String(h.overlay_data),
               "redirect_dir=nofollow,metacopy=off,index=off,"
               "lowerdir=layers/2:layers/1,upperdir=u,workdir=w");
  EXPECT_EQ(h.seccomp_program.count, 3u);

  const auto argv = plan.Array<WireString>(h.argv);
  ASSERT_EQ(argv.size(), 4u);
  EXPECT_STREQ(plan.String(argv[2]), "");
  EXPECT_STREQ(plan.String(argv[3]), "echo \"x\"");
  EXPECT_STREQ(plan.String(plan.Array<WireString>(h.env)[1]), "EMPTY=");
  EXPECT_EQ(plan.Array<uint32_t>(h.groups)[1], 8u);
  EXPECT_EQ(plan.Array<WireRlimit>(h.rlimits)[0].hard, 200u);
  const WireDevice device = plan.Array<WireDevice>(h.devices)[0];
  EXPECT_EQ(device.type, uint32_t{S_IFBLK});
  EXPECT_EQ(device.gid, 4u);
  const WireMount mount = plan.Array<WireMount>(h.mounts)[0];
  EXPECT_EQ(mount.flags, uint32_t{kMountReadonly});
  EXPECT_EQ(mount.propagation, static_cast<uint32_t>(Propagation::kShared));
  EXPECT_EQ(plan.Array<WireKernelMount>(h.kernel_mounts)[0].flags, 14u);
  EXPECT_STREQ(plan.String(plan.Array<WireString>(h.readonly_paths)[1]),
               "/proc/bus");
}

TEST(PlanTest, MountAttributesAreNotForReadersThatDoNotKnowThem) {
  LaunchSpec spec = FullSpec();
  std::string bytes = EncodePlan(spec);
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_EQ(plan.header().required, 0u);
  spec.mounts[0].nosuid = spec.mounts[0].noexec = true;
  bytes = EncodePlan(spec);
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_EQ(plan.header().required, uint32_t{kRequiresMountAttributes});
  EXPECT_EQ(plan.Array<WireMount>(plan.header().mounts)[0].flags,
            uint32_t{kMountReadonly | kMountNoSuid | kMountNoExec});
}

TEST(PlanTest, ARestoreIsRefusedByReadersThatDoNotKnowIt) {
  LaunchSpec spec = FullSpec();
  spec.kind = Kind::kRestore;
  const std::string bytes = EncodePlan(spec);
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_NE(plan.header().required & kRequiresRestore, 0u);
  EXPECT_NE(plan.header().lowers.count, 0u);
  EXPECT_NE(plan.header().mounts.count, 0u);
}

TEST(PlanTest, ExecCarriesNoRootfs) {
  LaunchSpec spec = FullSpec();
  spec.kind = Kind::kExec;
  const std::string bytes = EncodePlan(spec);
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_EQ(plan.header().mounts.count, 0u);
  EXPECT_EQ(plan.header().lowers.count, 0u);
}

TEST(PlanTest, OverlayDataBeyondAPageIsLeftToThePieces) {
  LaunchSpec spec = FullSpec();
  spec.rootfs.lowers.assign(50, std::string(100, 'l'));
  const std::string bytes = EncodePlan(spec);
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_EQ(plan.header().overlay_data.size, 0u);
  EXPECT_EQ(plan.header().lowers.count, 50u);
}

TEST(PlanTest, ProgramMustBeNamed) {
  Plan plan;
  LaunchSpec spec = FullSpec();
  spec.argv.clear();
  std::string bytes = EncodePlan(spec);
  EXPECT_FALSE(plan.Parse(bytes.data(), bytes.size()));
  spec.argv = {""};
  bytes = EncodePlan(spec);
  EXPECT_FALSE(plan.Parse(bytes.data(), bytes.size()));
}

TEST(PlanTest, TextWithANulIsRefused) {
  LaunchSpec spec = FullSpec();
  spec.argv[1] = std::string("a\0b", 3);
  const std::string bytes = EncodePlan(spec);
  Plan plan;
  EXPECT_FALSE(plan.Parse(bytes.data(), bytes.size()));
}

TEST(PlanTest, EveryTruncationIsRefused) {
  const std::string bytes = EncodePlan(FullSpec());
  for (size_t size = 0; size < bytes.size(); ++size) {
    // In memory of its own, so that a sanitizer sees a read beyond the end.
    const std::string part = bytes.substr(0, size);
    Plan plan;
    EXPECT_FALSE(plan.Parse(part.data(), part.size())) << size;
  }
}

uint32_t& Word(std::string& bytes, size_t offset) {
  return *reinterpret_cast<uint32_t*>(bytes.data() + offset);
}

// What a newer daemon writes: fields behind the ones known here, and longer
// records.
TEST(PlanTest, LongerHeaderAndRecordsAreUnderstood) {
  const std::string old_bytes = EncodePlan(FullSpec());
  WireHeader header;
  memcpy(&header, old_bytes.data(), sizeof(header));
  constexpr uint32_t kMore = 16;
  auto shift = [](uint32_t& offset) {
    if (offset != 0) offset += kMore;
  };
  std::string bytes = old_bytes;
  bytes.insert(sizeof(header), kMore, '\x7f');
  // Two groups of 4 bytes, as one of 8: the second half is a new field.
  for (WireString* s :
       {&header.working_dir, &header.apparmor_profile, &header.base_dir,
        &header.overlay_data, &header.upper, &header.work}) {
    shift(s->offset);
  }
  for (WireArray* a : {&header.seccomp_program, &header.groups}) {
    shift(a->offset);
  }
  for (WireArray* a :
       {&header.env, &header.rlimits, &header.lowers, &header.kernel_mounts,
        &header.devices, &header.symlinks, &header.mounts, &header.masked_paths,
        &header.readonly_paths}) {
    *a = {};
  }
  header.groups.count = 1;
  header.groups.record_size = 8;
  // argv's strings moved, too.
  header.argv.count = 1;
  shift(header.argv.offset);
  shift(Word(bytes, header.argv.offset));
  header.header_size += kMore;
  header.total_size += kMore;
  memcpy(bytes.data(), &header, sizeof(header));
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  EXPECT_STREQ(plan.String(plan.header().working_dir), "/srv");
  const auto groups = plan.Array<uint32_t>(plan.header().groups);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0], 7u);
}

TEST(PlanTest, ShorterRecordsOfAnOlderWriterAreFilledWithZeros) {
  std::string bytes = EncodePlan(FullSpec());
  WireHeader header;
  memcpy(&header, bytes.data(), sizeof(header));
  header.devices.record_size = 20;  // path, type, major, minor
  memcpy(bytes.data(), &header, sizeof(header));
  Plan plan;
  ASSERT_TRUE(plan.Parse(bytes.data(), bytes.size()));
  const WireDevice device = plan.Array<WireDevice>(plan.header().devices)[0];
  EXPECT_EQ(device.minor, 1u);
  EXPECT_EQ(device.mode, 0u);
  EXPECT_EQ(device.gid, 0u);
}

TEST(PlanTest, WhatMustNotBeIgnoredAndIsUnknownIsRefused) {
  std::string bytes = EncodePlan(FullSpec());
  Word(bytes, offsetof(WireHeader, required)) = 1u << 31;
  Plan plan;
  EXPECT_FALSE(plan.Parse(bytes.data(), bytes.size()));
}

TEST(PlanTest, ValuesBeyondTheirEnumerationsAreRefused) {
  for (const size_t offset :
       {offsetof(WireHeader, kind), offsetof(WireHeader, pid_namespace),
        offsetof(WireHeader, root_propagation), offsetof(WireHeader, magic)}) {
    std::string bytes = EncodePlan(FullSpec());
    Word(bytes, offset) = 77;
    Plan plan;
    EXPECT_FALSE(plan.Parse(bytes.data(), bytes.size())) << offset;
  }
}

// Whatever is changed, what Parse accepts can be read to its last byte.
TEST(PlanTest, DamagedPlansAreRefusedOrHarmless) {
  const std::string good = EncodePlan(FullSpec());
  std::mt19937 random(7);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    Plan plan;
    if (!plan.Parse(bytes.data(), bytes.size())) continue;
    ++accepted;
    const WireHeader& h = plan.header();
    size_t read = strlen(plan.String(h.working_dir));
    for (const WireArray& list : {h.argv, h.env, h.masked_paths}) {
      for (const WireString s : plan.Array<WireString>(list)) {
        read += strlen(plan.String(s));
      }
    }
    ASSERT_LE(read, size_t{3} * bytes.size());
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 20000);
}

}  // namespace
}  // namespace pinion::launch
