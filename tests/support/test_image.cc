#include "tests/support/test_image.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "image/digest.h"
#include "tests/support/tar_builder.h"

namespace pinion::testing {
namespace {

std::string Pack(const std::string& tar, Packing packing) {
  switch (packing) {
    case Packing::kGzip:
      return Gzip(tar);
    case Packing::kZstd:
      return Zstd(tar);
    case Packing::kPlain:
      return tar;
  }
  return "";
}

std::string LayerType(Packing packing, bool docker) {
  if (docker) return "application/vnd.docker.image.rootfs.diff.tar.gzip";
  const std::string plain = "application/vnd.oci.image.layer.v1.tar";
  if (packing == Packing::kGzip) return plain + "+gzip";
  if (packing == Packing::kZstd) return plain + "+zstd";
  return plain;
}

std::string Descriptor(const std::string& type, const std::string& blob) {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")",
                      DigestOf(blob), R"(","size":)", blob.size(), "}");
}

}  // namespace

std::string DigestOf(const std::string& data) {
  return image::Sha256::Of(data).text();
}

TestImage MakeTestImage(const std::vector<std::string>& tars, Packing packing,
                        bool docker, const std::string& config) {
  TestImage image;
  std::vector<std::string> diff_ids;
  std::vector<std::string> layers;
  for (const std::string& tar : tars) {
    const std::string blob = Pack(tar, packing);
    diff_ids.push_back(absl::StrCat("\"", DigestOf(tar), "\""));
    layers.push_back(Descriptor(LayerType(packing, docker), blob));
    image.layer_digests.push_back(DigestOf(blob));
    image.blobs[DigestOf(blob)] = blob;
  }
  const std::string text =
      absl::StrCat(R"({"os":"linux","architecture":"amd64","config":)", config,
                   R"(,"rootfs":{"type":"layers","diff_ids":[)",
                   absl::StrJoin(diff_ids, ","), "]}}");
  image.config_digest = DigestOf(text);
  image.blobs[image.config_digest] = text;
  image.manifest_type =
      docker ? "application/vnd.docker.distribution.manifest.v2+json"
             : "application/vnd.oci.image.manifest.v1+json";
  image.manifest = absl::StrCat(
      R"({"schemaVersion":2,"mediaType":")", image.manifest_type,
      R"(","config":)",
      Descriptor(docker ? "application/vnd.docker.container.image.v1+json"
                        : "application/vnd.oci.image.config.v1+json",
                 text),
      R"(,"layers":[)", absl::StrJoin(layers, ","), "]}");
  image.manifest_digest = DigestOf(image.manifest);
  return image;
}

std::string MakeOciArchive(const TestImage& image, const std::string& name) {
  TarBuilder tar;
  tar.File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  const auto blob = [&tar](const std::string& digest,
                           const std::string& bytes) {
    tar.File("blobs/sha256/" + digest.substr(7), bytes);
  };
  for (const auto& [digest, bytes] : image.blobs) blob(digest, bytes);
  blob(image.manifest_digest, image.manifest);
  const std::string annotations =
      name.empty() ? ""
                   : absl::StrCat(R"(,"annotations":{)",
                                  R"("org.opencontainers.image.ref.name":")",
                                  name, R"("})");
  tar.File("index.json",
           absl::StrCat(R"({"schemaVersion":2,"manifests":[{"mediaType":")",
                        image.manifest_type, R"(","digest":")",
                        image.manifest_digest, R"(","size":)",
                        image.manifest.size(), annotations, "}]}"));
  return tar.Finish();
}

}  // namespace pinion::testing
