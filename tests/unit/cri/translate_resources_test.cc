#include "cri/translate_resources.h"

#include <google/protobuf/util/message_differencer.h>

#include "tests/unit/cri/translate_cases.h"

namespace pinion::cri {
namespace {

using Resources = api::LinuxContainerResources;

absl::StatusOr<state::Resources> Translate(const Resources& in) {
  return ToResources(Field("resources"), in);
}

// As the kubelet asks for a Burstable container with hugepages.
Resources Valid() {
  Resources in;
  in.set_cpu_period(100000);
  in.set_cpu_quota(50000);
  in.set_cpu_shares(512);
  in.set_memory_limit_in_bytes(256 << 20);
  in.set_memory_swap_limit_in_bytes(256 << 20);
  in.set_oom_score_adj(-997);
  in.set_cpuset_cpus("0-3,8");
  in.set_cpuset_mems("0");
  api::HugepageLimit* limit = in.add_hugepage_limits();
  limit->set_page_size("2MB");
  limit->set_limit(64 << 20);
  limit = in.add_hugepage_limits();
  limit->set_page_size("1GB");
  (*in.mutable_unified())["memory.oom.group"] = "1";
  return in;
}

TEST(TranslateResourcesTest, RoundTripKeepsEveryField) {
  const auto out = Translate(Valid());
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->cpu_quota_us(), 50000);
  EXPECT_EQ(out->hugepage_limits(1).limit_bytes(), 0u);
  Resources back;
  FromResources(*out, &back);
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(back, Valid()));
}

TEST(TranslateResourcesTest, ZeroMeansNotSet) {
  const auto out = Translate(Resources());
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->ByteSizeLong(), 0u);
}

TEST(TranslateResourcesTest, SharesBeyondTheKernelsMostCountAsThat) {
  Resources in;
  in.set_cpu_shares(300000);
  EXPECT_EQ(Translate(in)->cpu_shares(), 262144);
}

TEST(TranslateResourcesTest, RefusesWhatTheKernelCouldNotTake) {
  ExpectRefused<Resources>(
      Valid(), Translate,
      {
          {"resources.cpu_period 999", [](auto& r) { r.set_cpu_period(999); }},
          {"cpu_period 1000001", [](auto& r) { r.set_cpu_period(1000001); }},
          {"cpu_period -1", [](auto& r) { r.set_cpu_period(-1); }},
          {"cpu_quota 999", [](auto& r) { r.set_cpu_quota(999); }},
          {"cpu_quota -2", [](auto& r) { r.set_cpu_quota(-2); }},
          {"cpu_shares -1", [](auto& r) { r.set_cpu_shares(-1); }},
          {"cpu_shares 1", [](auto& r) { r.set_cpu_shares(1); }},
          {"memory_limit_in_bytes -1",
           [](auto& r) { r.set_memory_limit_in_bytes(-1); }},
          {"memory_swap_limit_in_bytes -2",
           [](auto& r) { r.set_memory_swap_limit_in_bytes(-2); }},
          {"must not be less",
           [](auto& r) { r.set_memory_swap_limit_in_bytes(1); }},
          {"must be set too", [](auto& r) { r.clear_memory_limit_in_bytes(); }},
          {"oom_score_adj 1001", [](auto& r) { r.set_oom_score_adj(1001); }},
          {"oom_score_adj -1001", [](auto& r) { r.set_oom_score_adj(-1001); }},
          {"cpuset_cpus \"3-1\"", [](auto& r) { r.set_cpuset_cpus("3-1"); }},
          {"cpuset_cpus \"0\\n1\"", [](auto& r) { r.set_cpuset_cpus("0\n1"); }},
          {"cpuset_mems \"9999\"", [](auto& r) { r.set_cpuset_mems("9999"); }},
          {"page_size \"3MB\"",
           [](auto& r) { r.mutable_hugepage_limits(0)->set_page_size("3MB"); }},
          {"page_size \"2M\"",
           [](auto& r) { r.mutable_hugepage_limits(0)->set_page_size("2M"); }},
          {"page_size \"\"",
           [](auto& r) { r.mutable_hugepage_limits(0)->set_page_size(""); }},
          {"page_size \"../MB\"",
           [](auto& r) {
             r.mutable_hugepage_limits(0)->set_page_size("../MB");
           }},
          {"[1].page_size \"2MB\": comes twice",
           [](auto& r) { r.mutable_hugepage_limits(1)->set_page_size("2MB"); }},
      });
}

TEST(TranslateResourcesTest, UnifiedTakesOnlyControllersFiles) {
  std::vector<RefusedCase<Resources>> cases;
  for (const std::string name :
       {"memory", "", ".", "..", "memory.", ".high", "../memory.max",
        "memory.max/x", "memory..high", "memory high.x"}) {
    cases.push_back(
        {"unified", [name](auto& r) { (*r.mutable_unified())[name] = "1"; }});
  }
  for (const std::string name :
       {"cgroup.procs", "cgroup.kill", "cgroup.subtree_control"}) {
    cases.push_back({"must not be a file of the cgroup core",
                     [name](auto& r) { (*r.mutable_unified())[name] = "1"; }});
  }
  cases.push_back({"unified.memory.high", [](auto& r) {
                     (*r.mutable_unified())["memory.high"] =
                         std::string(5000, '1');
                   }});
  ExpectRefused<Resources>(Valid(), Translate, cases);
}

TEST(TranslateResourcesTest, AcceptsNoLimitAndEdges) {
  ExpectAccepted<Resources>(
      Valid(), Translate,
      {
          [](auto& r) { r.set_cpu_quota(-1); },
          [](auto& r) { r.set_cpu_quota(1000); },
          [](auto& r) { r.set_cpu_shares(2); },
          [](auto& r) { r.set_memory_swap_limit_in_bytes(-1); },
          [](auto& r) { r.set_memory_limit_in_bytes(1); },
          [](auto& r) { r.mutable_hugepage_limits(0)->set_page_size("64KB"); },
      });
}

}  // namespace
}  // namespace pinion::cri
