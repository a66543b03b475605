// Names of slices and the cgroup paths systemd gives them: pure.
//
// Thread-safe. Rules: systemd.slice(5), systemd.unit(5); cg_escape() of
// systemd for names that would look like a controller's file.

#ifndef PINION_RUNTIME_CGROUP_SLICE_NAME_H_
#define PINION_RUNTIME_CGROUP_SLICE_NAME_H_

#include <string>

#include "absl/status/statusor.h"

namespace pinion::cgroup {

// The slice a `cgroup_parent` names: "a-b.slice", or by its last component
// "/a.slice/a-b.slice", which is what some callers pass. InvalidArgument if
// that is no valid name of a slice.
absl::StatusOr<std::string> SliceOf(const std::string& cgroup_parent);

// "/a.slice/a-b.slice" for "a-b.slice"; "" for the root, "-.slice".
std::string SlicePath(const std::string& slice);

// What `systemctl` shall show for a unit: printable ASCII, at most 200 bytes.
// Everything else becomes '?' or a space, so that nothing a user wrote can
// start a line or a field of its own; so do '\' and '%', with which the unit
// file that systemd keeps of it would go on in the next line, or be expanded.
std::string SanitizeDescription(const std::string& text);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_SLICE_NAME_H_
