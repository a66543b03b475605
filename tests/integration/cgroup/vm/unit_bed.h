// What the tests of units share: systemd's real manager, a driver on it, pods
// with a sleeping process for a monitor.
//
// Not thread-safe (it forks).

#ifndef PINION_TESTS_INTEGRATION_CGROUP_VM_UNIT_BED_H_
#define PINION_TESTS_INTEGRATION_CGROUP_VM_UNIT_BED_H_

#include <chrono>
#include <memory>
#include <ostream>
#include <string>

#include "base/id.h"
#include "os/sd_bus.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/cgroup/systemd_driver.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {

// Both streams of a command, without blanks around.
std::string Shell(const std::string& command);

struct BusCase {
  const char* name;
  os::SystemdBus::Address address;
};
inline const BusCase kBus = {"bus",
                             {"unix:path=/run/dbus/system_bus_socket", true}};
inline const BusCase kDirect = {"direct",
                                {"unix:path=/run/systemd/private", false}};

// How the tests name themselves: "…/bus", "…/direct".
std::ostream& operator<<(std::ostream& out, const BusCase& bus);

std::unique_ptr<PodCgroupDriver> NewDriver(
    const BusCase& bus, const SystemdTimeouts& timeouts = {});

// One pod with a monitor, and the id of a leaf.
struct UnitPod {
  explicit UnitPod(const testing_support::ScratchCgroup& view)
      : cgroups(view) {}

  std::string Unit() const { return "pinion-" + id + ".scope"; }
  std::string Read(const std::string& file) const {
    return cgroups.Read(path + "/" + file);
  }

  const testing_support::ScratchCgroup& cgroups;
  std::string id = NewId();
  std::string leaf = NewId();
  std::string path;
  testing_support::Child monitor = testing_support::Child::Sleeper();
};

}  // namespace pinion::cgroup

#endif  // PINION_TESTS_INTEGRATION_CGROUP_VM_UNIT_BED_H_
