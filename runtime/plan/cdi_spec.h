// The Container Device Interface: files in which a vendor says what a
// container needs to use its devices (SPEC.md of
// github.com/cncf-tags/container-device-interface, versions 0.3 to 1.1).
//
// Values and a pure parser; thread-safe.

#ifndef PINION_RUNTIME_PLAN_CDI_SPEC_H_
#define PINION_RUNTIME_PLAN_CDI_SPEC_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::plan {

struct CdiNode {
  std::string path;       // in the container
  std::string host_path;  // empty: `path`
  char type = 0;          // 'c' or 'b'; 0: what the host's is
  // Both or none; none: the host's.
  std::optional<uint32_t> major;
  std::optional<uint32_t> minor;
  std::optional<uint32_t> mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::string permissions = "rwm";
};

// Always a bind mount.
struct CdiMount {
  std::string host_path;
  std::string container_path;
  bool readonly = false;
  bool nosuid = false;
  bool nodev = false;
  bool noexec = false;
  enum class Propagation { kPrivate, kSlave, kShared };
  Propagation propagation = Propagation::kPrivate;
};

struct CdiEdits {
  std::vector<std::string> env;  // KEY=VALUE
  std::vector<CdiNode> nodes;
  std::vector<CdiMount> mounts;
  std::vector<uint32_t> gids;
  // What pinion does not do, in words: "hook createContainer
  // (/usr/bin/nvidia-ctk)". A device that asks for one of these is refused.
  std::vector<std::string> unsupported;
};

struct CdiDevice {
  std::string name;
  CdiEdits edits;
};

struct CdiSpec {
  std::string kind;  // "vendor.com/class"
  std::vector<CdiDevice> devices;
  CdiEdits edits;  // with any of its devices
};

enum class CdiFormat { kJson, kYaml };

// InvalidArgument says what is malformed, and where. A field that the
// specification does not know is malformed: to leave it out might leave out
// what matters.
absl::StatusOr<CdiSpec> ParseCdiSpec(const std::string& text, CdiFormat format);

// "vendor.com/class=name".
bool IsCdiName(const std::string& name);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_CDI_SPEC_H_
