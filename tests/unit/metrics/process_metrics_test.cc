#include "metrics/process_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

namespace pinion::metrics {
namespace {

using ::testing::HasSubstr;

double ValueOf(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  return at == std::string::npos
             ? -1
             : std::atof(text.c_str() + at + name.size() + 2);
}

TEST(ProcessMetricsTest, TellsOfThisProcess) {
  const auto registry = Registry::Create();
  AddProcessMetrics(*registry);
  const std::string text = registry->Render();
  EXPECT_GT(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(ValueOf(text, "process_virtual_memory_bytes"),
            ValueOf(text, "process_resident_memory_bytes"));
  EXPECT_GE(ValueOf(text, "process_open_fds"), 3);
  EXPECT_GE(ValueOf(text, "process_max_fds"),
            ValueOf(text, "process_open_fds"));
  EXPECT_GE(ValueOf(text, "process_threads"), 1);
  const double now = std::chrono::duration<double>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  const double start = ValueOf(text, "process_start_time_seconds");
  EXPECT_LT(start, now + 2);
  EXPECT_GT(start, now - 3600);
}

TEST(ProcessMetricsTest, CpuTimeNeverFalls) {
  const auto registry = Registry::Create();
  AddProcessMetrics(*registry);
  const double before =
      ValueOf(registry->Render(), "process_cpu_seconds_total");
  const double after = ValueOf(registry->Render(), "process_cpu_seconds_total");
  EXPECT_GE(after, before);
}

TEST(BuildInfoTest, IsOneWithVersionAndCommit) {
  const auto registry = Registry::Create();
  AddBuildInfo(*registry, "0.1.0", "abc123");
  EXPECT_THAT(
      registry->Render(),
      HasSubstr("pinion_build_info{commit=\"abc123\",version=\"0.1.0\"} 1\n"));
}

}  // namespace
}  // namespace pinion::metrics
