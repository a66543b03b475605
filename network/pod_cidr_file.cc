#include "network/pod_cidr_file.h"

#include <fcntl.h>

#include "base/status_macros.h"
#include "network/addressing.h"
#include "os/file.h"

namespace pinion::network {
namespace {

// Starts with a dot: no pool's name does (ipam::ListPools).
constexpr char kPodCidrFile[] = ".pod-cidr";

}  // namespace

absl::Status RememberPodCidr(const Options& options,
                             const std::string& pod_cidr) {
  PINION_RETURN_IF_ERROR(os::MakeDirs(options.ipam_dir, 0700));
  return os::ReplaceFileAt(AT_FDCWD, options.ipam_dir + "/" + kPodCidrFile,
                           pod_cidr, 0600);
}

std::string RememberedPodCidr(const Options& options) {
  const absl::StatusOr<std::string> text =
      os::ReadFileAt(AT_FDCWD, options.ipam_dir + "/" + kPodCidrFile, 1024);
  // Missing at the first start. If it is damaged, the kubelet tells it again
  // when it starts itself.
  if (!text.ok() || !ParseRanges(*text).ok()) return "";
  return *text;
}

}  // namespace pinion::network
