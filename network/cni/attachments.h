// What DEL needs to know of each ADD, kept on disk: the configuration as it
// was then, its arguments, and the result. Survives reboots, as what plugins
// keep themselves does (host-local's addresses).
//
// Thread-safe for different pods; one pod's calls are serialised by the caller.

#ifndef PINION_NETWORK_CNI_ATTACHMENTS_H_
#define PINION_NETWORK_CNI_ATTACHMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "network/cni/config.h"
#include "os/unique_fd.h"

namespace pinion::network::cni {

struct Attachment {
  std::string pod_id;
  NetworkList list;
  CapabilityArgs capability_arguments;
  // CNI_ARGS.
  std::string arguments;
  std::string interface_name;
  // Which namespace it is: the inode in nsfs.
  uint64_t netns_inode = 0;
  // Null until ADD has succeeded.
  Json result;
};

class AttachmentStore {
 public:
  // Makes the directory if it is missing.
  static absl::StatusOr<AttachmentStore> Open(const std::string& directory);

  // `durable`: fsync'd; an ADD must not be forgotten.
  absl::Status Save(const Attachment& attachment, bool durable) const;
  // NotFound; DataLoss if the file is damaged.
  absl::StatusOr<Attachment> Load(const std::string& pod_id) const;
  // Missing is success.
  absl::Status Remove(const std::string& pod_id) const;
  // Pod ids.
  absl::StatusOr<std::vector<std::string>> List() const;

 private:
  explicit AttachmentStore(os::UniqueFd directory)
      : directory_(std::move(directory)) {}

  os::UniqueFd directory_;
};

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_ATTACHMENTS_H_
