// Container images made in the test: blobs, configuration, manifest.
//
// Value types.

#ifndef PINION_TESTS_SUPPORT_TEST_IMAGE_H_
#define PINION_TESTS_SUPPORT_TEST_IMAGE_H_

#include <map>
#include <string>
#include <vector>

namespace pinion::testing {

enum class Packing { kPlain, kGzip, kZstd };

struct TestImage {
  std::map<std::string, std::string> blobs;  // digest → bytes
  std::string config_digest;
  std::vector<std::string> layer_digests;
  std::string manifest;
  std::string manifest_digest;
  std::string manifest_type;
};

// "sha256:…" of the data.
std::string DigestOf(const std::string& data);

// An image of these tars, bottom first. `docker`: schema 2 instead of OCI.
// `config`: members of the configuration's "config" object, as JSON.
TestImage MakeTestImage(const std::vector<std::string>& tars,
                        Packing packing = Packing::kGzip, bool docker = false,
                        const std::string& config = "{}");

// Members of an OCI image layout.
std::string MakeOciArchive(const TestImage& image, const std::string& name);

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_TEST_IMAGE_H_
