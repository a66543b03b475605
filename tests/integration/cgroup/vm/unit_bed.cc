#include "tests/integration/cgroup/vm/unit_bed.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "absl/strings/ascii.h"

namespace pinion::cgroup {

std::string Shell(const std::string& command) {
  std::string out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    out += buffer;
  }
  if (pipe != nullptr) pclose(pipe);
  return std::string(absl::StripAsciiWhitespace(out));
}

std::ostream& operator<<(std::ostream& out, const BusCase& bus) {
  return out << bus.name;
}

std::unique_ptr<PodCgroupDriver> NewDriver(const BusCase& bus,
                                           const SystemdTimeouts& timeouts) {
  DriverOptions options;
  options.hierarchy = *FindHierarchy();
  options.default_parent = "pntest-default.slice";
  os::SystemdBus::Options bus_options;
  bus_options.addresses = {bus.address};
  auto connection = os::SystemdBus::Create(bus_options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return *NewSystemdDriverOn(options, *std::move(connection), timeouts);
}

}  // namespace pinion::cgroup
