// ImageService as the daemon runs it: coalesces pulls, measures them, and
// turns what the network and the content do wrong into the CRI's words.
//
// Thread-safe.

#ifndef PINION_IMAGE_SERVICE_H_
#define PINION_IMAGE_SERVICE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "image/cancel_token.h"
#include "image/image_service.h"
#include "image/installer.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/registry_client.h"
#include "image/store.h"

namespace pinion::image {

class Service : public ImageService {
 public:
  Service(const Options& options, const Platform& platform,
          metrics::Registry& metrics);
  ~Service() override;

  absl::Status Open();

  absl::StatusOr<std::string> Pull(const std::string& reference,
                                   const Credentials& credentials) override;
  absl::StatusOr<Imported> Import(const std::string& archive_path,
                                  const std::string& reference) override;
  std::vector<ImageInfo> List() const override;
  std::optional<ImageInfo> Find(const std::string& reference) const override;
  absl::Status Remove(const std::string& reference) override;
  absl::StatusOr<ImageInfo> Hold(const std::string& reference,
                                 const std::string& holder) override;
  absl::Status HoldLayers(const std::vector<std::string>& layer_dirs,
                          const std::string& holder) override;
  void Release(const std::string& holder) override;
  absl::Status CollectGarbage() override;
  absl::StatusOr<FsUsage> Usage() const override;
  void Stop() override;

 private:
  // One pull that several callers wait for.
  struct Flight {
    std::optional<absl::StatusOr<std::string>> result;
  };

  absl::StatusOr<std::string> PullOnce(const Reference& reference,
                                       const Credentials& credentials);
  absl::StatusOr<std::string> Fetch(const Reference& reference,
                                    const Credentials& credentials);
  absl::StatusOr<Manifest> FetchManifest(RegistryClient& registry,
                                         const Reference& reference,
                                         Digest& digest) const;
  void UpdateGauges();
  bool IsPlainHttp(const std::string& domain) const;

  const Options options_;
  const Platform platform_;
  metrics::Counter& pulls_ok_;
  metrics::Counter& pulls_failed_;
  metrics::Counter& pull_bytes_;
  metrics::Histogram& pull_seconds_;
  metrics::Gauge& images_;
  metrics::Gauge& layers_;
  metrics::Gauge& bytes_;

  CancelToken cancel_;
  StreamSlots slots_;
  std::unique_ptr<Store> store_;

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_SERVICE_H_
