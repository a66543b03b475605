// What pinionctl asks of the daemon (proto/admin.proto).
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_ADMIN_SERVICE_H_
#define PINION_CRI_ADMIN_SERVICE_H_

#include "absl/status/status.h"
#include "admin.pb.h"

namespace pinion::image {
class ImageService;
}
namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class AdminRpcs {
 public:
  AdminRpcs(image::ImageService* images, runtime::Runtime* runtime)
      : images_(*images), runtime_(*runtime) {}

  absl::Status ImportImage(const admin::v1::ImportImageRequest& request,
                           admin::v1::ImportImageResponse* response);
  // The pod's phases, then its containers' in the order of their creation.
  absl::Status PodTimeline(const admin::v1::PodTimelineRequest& request,
                           admin::v1::PodTimelineResponse* response);
  // Of all pods, one that cannot be read is logged and left out.
  absl::Status PodUsage(const admin::v1::PodUsageRequest& request,
                        admin::v1::PodUsageResponse* response);
  // Machine and owners; all CPUs are shared where pinion does not pin.
  absl::Status Cpus(const admin::v1::CpusRequest& request,
                    admin::v1::CpusResponse* response);
  absl::Status PodNetwork(const admin::v1::PodNetworkRequest& request,
                          admin::v1::PodNetworkResponse* response);

 private:
  image::ImageService& images_;
  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_ADMIN_SERVICE_H_
