// What a checkpoint says of its container beside the images: config.dump and
// spec.dump in the words of the kubelet's archives, so that checkpointctl(1)
// can show them, and descriptors.json as other runtimes write it.
//
// Pure functions; thread-safe.

#ifndef PINION_RUNTIME_CHECKPOINT_METADATA_H_
#define PINION_RUNTIME_CHECKPOINT_METADATA_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::checkpoint {

// A mount of the request's or of the pod's, not a kernel file system.
struct MountPoint {
  std::string destination;  // as it was asked for
  bool readonly = false;

  bool operator==(const MountPoint& other) const {
    return destination == other.destination && readonly == other.readonly;
  }
};

struct Metadata {
  std::string id;
  std::string name;
  // The image below the container's own changes: id, reference by digest, and
  // the name that was asked for.
  std::string image_id;
  std::string image_ref;
  std::string image_name;
  int64_t created_at_ns = 0;
  int64_t checkpointed_at_ns = 0;
  std::vector<std::string> argv;
  std::string working_dir;
  int64_t uid = 0;
  int64_t gid = 0;
  std::string hostname;
  std::vector<MountPoint> mounts;
  // state::ContainerSecurity as text: what a container that continues this one
  // must ask for, too.
  std::string security;
  // "/dev/null" or "pipe:[<inode>]", of stdin, stdout, stderr.
  std::array<std::string, 3> stdio;
};

// The three documents.
struct Documents {
  std::string config;       // config.dump
  std::string spec;         // spec.dump
  std::string descriptors;  // checkpoint/descriptors.json
};

Documents ToDocuments(const Metadata& metadata);

// Only what a restore needs is read: image_*, mounts, security, stdio, id,
// name. InvalidArgument: not what this version of pinion writes.
absl::StatusOr<Metadata> ParseDocuments(const Documents& documents);

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_METADATA_H_
