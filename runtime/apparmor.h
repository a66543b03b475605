// Which AppArmor profile a container gets, and the default one in the kernel.
//
// Thread-safe. While apparmor_parser runs (some 10 ms, once after a start and
// if somebody has unloaded the profile) whoever needs the default one waits.

#ifndef PINION_RUNTIME_APPARMOR_H_
#define PINION_RUNTIME_APPARMOR_H_

#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "state.pb.h"

namespace pinion::runtime {

class AppArmor {
 public:
  struct Paths {
    // The kernel's: "Y", and a line "NAME (MODE)" for each profile.
    std::string enabled = "/sys/module/apparmor/parameters/enabled";
    std::string profiles = "/sys/kernel/security/apparmor/profiles";
    // apparmor_parser(8).
    std::string parser = "/sbin/apparmor_parser";
  };

  AppArmor() : AppArmor(Paths()) {}
  explicit AppArmor(Paths paths);

  // Whether the kernel has it, as of now.
  bool enabled() const;

  // The profile's name; empty: unconfined. As kubelet and users expect:
  //  - one that is asked for and cannot be had is FailedPrecondition (no
  //    AppArmor, no such profile, no parser for the default one);
  //  - nothing asked: the default profile, or none where it cannot be had;
  //  - privileged: none, unless a profile of the node (LOCALHOST) is asked.
  absl::StatusOr<std::string> Resolve(const state::ContainerSecurity& security);

  // Puts the default profile into the kernel: always the first time, as an
  // older pinion may have left its own; later if it is gone.
  absl::Status LoadDefault();

  // Why the last LoadDefault failed; empty if it did not. Waits for nobody.
  std::string error() const;

 private:
  absl::Status CheckLoaded(const std::string& profile) const;

  const Paths paths_;
  // Held while the parser runs.
  absl::Mutex load_mutex_;
  bool loaded_ ABSL_GUARDED_BY(load_mutex_) = false;
  mutable absl::Mutex mutex_;
  std::string error_ ABSL_GUARDED_BY(mutex_);
};

// Whether the kernel's list of profiles has one of this name.
bool ListsProfile(std::string_view profiles, std::string_view name);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_APPARMOR_H_
