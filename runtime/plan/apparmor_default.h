// pinion's own AppArmor profile for RuntimeDefault, in apparmor.d(5)'s
// language.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_APPARMOR_DEFAULT_H_
#define PINION_RUNTIME_PLAN_APPARMOR_DEFAULT_H_

#include <string>
#include <string_view>

namespace pinion::plan {

inline constexpr char kDefaultAppArmorProfile[] = "pinion-default";

// What stands under that name: a second line behind capabilities, masked
// paths and read-only mounts. Files, network and capabilities are free, as
// far as those let them be; there is no mount, umount and pivot_root, no
// signal and no trace that leaves the profile, and nothing is written to
// what of /proc and /sys is the node's. Needs no file of the node
// (tunables, abstractions).
std::string DefaultAppArmorProfile();

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_APPARMOR_DEFAULT_H_
