// Debian's docker-registry on loopback with storage of its own, and stores to
// pull into.

#ifndef PINION_TESTS_INTEGRATION_IMAGE_REGISTRY_BED_H_
#define PINION_TESTS_INTEGRATION_IMAGE_REGISTRY_BED_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "image/image_service.h"
#include "metrics/metrics.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/test_image.h"

namespace pinion::image {

// True if it is installed; tests that need it skip otherwise.
bool HaveRegistry();

class RegistryBed {
 public:
  // `htpasswd`: "user:bcrypt"; empty: no authentication. `tls`: https with a
  // certificate of its own (ca_file). Aborts if the registry does not come up.
  explicit RegistryBed(const std::string& htpasswd = "", bool tls = false);
  ~RegistryBed();

  RegistryBed(const RegistryBed&) = delete;
  RegistryBed& operator=(const RegistryBed&) = delete;

  const std::string& address() const { return address_; }
  std::string ca_file() const { return scratch_.path() + "/tls.crt"; }

  // Straight into the registry's storage.
  void Put(const std::string& repository, const std::string& tag,
           const testing::TestImage& image);
  void PutManifest(const std::string& repository, const std::string& tag,
                   const std::string& manifest);

 private:
  void MakeCertificate();
  // On a port that was free a moment ago; false if the registry ended, as it
  // does if the port is not free any more. Gives up if it does not answer
  // within a minute.
  bool Start(const std::string& htpasswd, bool tls);
  // Aborts, with the registry's log.
  [[noreturn]] void GiveUp(const std::string& why) const;
  void PutBlob(const std::string& repository, const std::string& bytes);

  testing::ScratchDir scratch_;
  std::string address_;
  pid_t pid_ = -1;
};

// A store in a scratch directory; can be opened again, as after a restart.
class StoreBed {
 public:
  StoreBed();

  // Without a live service.
  Options& options() { return options_; }
  ImageService& Open();
  void Close() { service_.reset(); }
  ImageService& service() { return *service_; }
  metrics::Registry& metrics() { return *metrics_; }

  std::string root() const { return options_.root; }
  // Names in layers/, sorted.
  std::vector<std::string> LayerNames() const;
  // Of a file in the first layer (topmost first) that has it.
  std::string Read(const ImageInfo& image, const std::string& path) const;

 private:
  testing::ScratchDir scratch_;
  Options options_;
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<ImageService> service_;
};

}  // namespace pinion::image

#endif  // PINION_TESTS_INTEGRATION_IMAGE_REGISTRY_BED_H_
