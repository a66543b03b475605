// A pod and a container with every number known and different, for tests.

#ifndef PINION_TESTS_UNIT_CRI_USAGE_CASES_H_
#define PINION_TESTS_UNIT_CRI_USAGE_CASES_H_

#include <memory>
#include <string>

#include "runtime/usage.h"

namespace pinion::cri {

inline runtime::CgroupUsage FullCgroup() {
  runtime::CgroupUsage full;
  full.nano_cores = 250'000'000;
  full.usage.cpu = cgroup::ParseCpuStat(
      "usage_usec 9000000\nuser_usec 6000000\nsystem_usec 3000000\n"
      "nr_periods 93\nnr_throttled 41\nthrottled_usec 2000000\n");
  full.usage.cpu_pressure = cgroup::ParsePressure(
      "some avg10=1.50 avg60=0.33 avg300=0.07 total=11000000\n"
      "full avg10=0.50 avg60=0.00 avg300=0.00 total=12000000\n");
  full.usage.memory_pressure = cgroup::ParsePressure(
      "some avg10=2.50 avg60=0.00 avg300=0.00 total=13000000\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=14000000\n");
  full.usage.io_pressure = cgroup::ParsePressure(
      "some avg10=3.50 avg60=0.00 avg300=0.00 total=15000000\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=16000000\n");
  full.usage.memory_current = 100000;
  full.usage.memory_max = 500000;
  full.usage.memory = cgroup::ParseMemoryStat(
      "anon 544768\nfile 1056768\nkernel 307200\nfile_mapped 811008\n"
      "inactive_file 40000\npgfault 1911\npgmajfault 14\n");
  full.usage.swap_current = 4096;
  full.usage.swap_max = 12288;
  full.usage.processes = {11, 12, 13};
  full.details.emplace();
  full.details->memory_peak = 123456;
  full.details->memory_low = 65536;
  full.details->memory_events =
      cgroup::ParseMemoryEvents("max 127\noom 3\noom_kill 2\n");
  full.details->io = cgroup::ParseIoStat(
      "254:1 rbytes=1001 wbytes=1002 rios=1003 wios=1004 dbytes=1005 dios=1\n");
  full.io_names = {"/dev/vda1"};
  full.details->huge_pages = {{"2MB", 2097152}};
  full.details->threads = 17;
  full.details->threads_max = 1700;
  full.details->cpu_max = cgroup::ParseCpuMax("20000 100000\n");
  full.details->cpu_weight = 39;
  return full;
}

inline runtime::ContainerUsage FullContainer() {
  runtime::ContainerUsage usage;
  auto record = std::make_shared<state::ContainerRecord>();
  record->set_id(std::string(64, 'c'));
  record->set_pod_id(std::string(64, 'a'));
  record->set_state(state::CONTAINER_RUNNING);
  record->set_started_at_ns(1'700'000'000'500'000'000);
  record->set_image_ref("registry.test/web@sha256:1");
  record->mutable_spec()->set_name("server");
  record->mutable_spec()->set_attempt(2);
  (*record->mutable_spec()->mutable_labels())["app"] = "web";
  (*record->mutable_spec()->mutable_annotations())["note"] = "n";
  usage.container = record;
  usage.read_at_ns = 1'800'000'000'250'000'000;
  usage.cgroup_path = "/kubepods/pinion-a/c";
  usage.cgroup = FullCgroup();
  usage.writable = runtime::WritableLayer{
      1'799'999'999'000'000'000, {"/var/lib/pinion/containers", 8192, 3}};
  usage.processes = runtime::ProcessUsage{21, 22, 1024};
  usage.filesystem = runtime::FilesystemSize{"/dev/vda1", 31, 32, 33};
  usage.huge_page_peaks = {{"2MB", 4194304}};
  return usage;
}

inline runtime::PodUsage FullPod() {
  runtime::PodUsage usage;
  auto record = std::make_shared<state::PodRecord>();
  record->set_id(std::string(64, 'a'));
  record->set_state(state::POD_READY);
  record->set_created_at_ns(1'600'000'000'000'000'000);
  record->set_cgroup("/kubepods/pinion-a");
  record->mutable_spec()->set_name("web-0");
  record->mutable_spec()->set_uid("uid");
  record->mutable_spec()->set_namespace_("shop");
  record->mutable_spec()->set_attempt(1);
  usage.pod = record;
  usage.read_at_ns = 1'800'000'000'000'000'000;
  usage.cgroup = FullCgroup();
  usage.interfaces = {{.name = "net1", .rx_bytes = 1},
                      {.name = "eth0",
                       .rx_bytes = 51,
                       .rx_packets = 52,
                       .rx_errors = 53,
                       .rx_dropped = 54,
                       .tx_bytes = 55,
                       .tx_packets = 56,
                       .tx_errors = 57,
                       .tx_dropped = 58}};
  usage.containers.push_back(FullContainer());
  return usage;
}

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_USAGE_CASES_H_
