#include "image/manifest.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "image/config.h"

namespace pinion::image {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');
const char* const kOciIndex = kManifestTypes[0];
const char* const kOciManifest = kManifestTypes[1];
const char* const kDockerList = kManifestTypes[2];
const char* const kDockerManifest = kManifestTypes[3];

std::string Descriptor(const std::string& type, const std::string& more = "") {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")", kDigest,
                      R"(","size":3)", more, "}");
}

const std::string kConfig =
    R"("config":)" + Descriptor("application/vnd.oci.image.config.v1+json");

std::string ManifestWith(const std::string& layer_type) {
  return absl::StrCat(R"({"schemaVersion":2,)", kConfig, R"(,"layers":[)",
                      Descriptor(layer_type), "]}");
}

const std::string kManifest =
    ManifestWith("application/vnd.oci.image.layer.v1.tar+gzip");

std::string Entry(const std::string& os, const std::string& architecture,
                  const std::string& variant) {
  return Descriptor(
      kOciManifest,
      absl::StrCat(R"(,"platform":{"os":")", os, R"(","architecture":")",
                   architecture, R"(","variant":")", variant, R"("})"));
}

TEST(ManifestTest, ReadsOciAndDocker) {
  const auto oci = ParseManifest(kManifest, kOciManifest);
  ASSERT_TRUE(oci.ok()) << oci.status();
  EXPECT_EQ(std::get<Manifest>(*oci).layers.size(), 1u);
  EXPECT_EQ(std::get<Manifest>(*oci).config.digest.text(), kDigest);
  EXPECT_EQ(std::get<Manifest>(*oci).config.size, 3u);
  const std::string docker = absl::StrCat(
      R"({"schemaVersion":2,"mediaType":")", kDockerManifest, R"(","config":)",
      Descriptor("application/vnd.docker.container.image.v1+json"),
      R"(,"layers":[)",
      Descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip"), "]}");
  EXPECT_TRUE(ParseManifest(docker, kDockerManifest).ok());
  EXPECT_TRUE(
      ParseManifest(docker, absl::StrCat(kDockerManifest, "; charset=utf-8"))
          .ok());
  const auto index = ParseManifest(
      absl::StrCat(R"({"manifests":[)", Entry("linux", "amd64", ""), "]}"),
      kOciIndex);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(std::get<Index>(*index).entries.size(), 1u);
}

TEST(ManifestTest, RefusesATypeThatDisagreesWithTheMembers) {
  EXPECT_FALSE(ParseManifest(kManifest, kOciIndex).ok());
  EXPECT_FALSE(ParseManifest(kManifest, kDockerList).ok());
  EXPECT_FALSE(ParseManifest(absl::StrCat(R"({"mediaType":")", kOciIndex,
                                          R"(",)", kManifest.substr(1)),
                             "")
                   .ok());
  // CVE-2021-41190: one document, two readings.
  EXPECT_FALSE(ParseManifest(
                   absl::StrCat(R"({"manifests":[],)", kManifest.substr(1)), "")
                   .ok());
  EXPECT_FALSE(ParseManifest(R"({"mediaType":"x/y","manifests":[]})", "").ok());
  EXPECT_FALSE(ParseManifest("{}", kOciManifest).ok());
}

TEST(ManifestTest, SaysThatSchema1IsGone) {
  const auto parsed = ParseManifest(
      R"({"schemaVersion":1,"fsLayers":[],"history":[]})",
      "application/vnd.docker.distribution.manifest.v1+prettyjws");
  EXPECT_NE(parsed.status().message().find("schema 1"), std::string::npos);
}

TEST(ManifestTest, RefusesWhatIsNoContainerImage) {
  EXPECT_FALSE(
      ParseManifest(ManifestWith("application/vnd.cncf.helm.chart+tar"), "")
          .ok());
  EXPECT_FALSE(
      ParseManifest(
          ManifestWith("application/vnd.oci.image.layer.v1.tar+encrypted"), "")
          .ok());
  const std::string artifact = absl::StrCat(
      R"({"config":)", Descriptor("application/vnd.oci.empty.v1+json"),
      R"(,"layers":[]})");
  EXPECT_FALSE(ParseManifest(artifact, "").ok());
}

TEST(ManifestTest, RefusesMoreLayersThanOverlayfsTakes) {
  std::string layers;
  for (size_t i = 0; i <= kMaxLayers; ++i) {
    absl::StrAppend(&layers, i == 0 ? "" : ",",
                    Descriptor("application/vnd.oci.image.layer.v1.tar"));
  }
  EXPECT_FALSE(
      ParseManifest(absl::StrCat("{", kConfig, R"(,"layers":[)", layers, "]}"),
                    "")
          .ok());
}

TEST(ManifestTest, RefusesTypeConfusionInMembers) {
  for (const std::string& text :
       {std::string(R"({"config":"x","layers":[]})"),
        std::string(R"({"config":{},"layers":[]})"),
        "{" + kConfig + R"(,"layers":{}})",
        "{" + kConfig + R"(,"layers":["x"]})",
        "{" + kConfig + R"(,"layers":[{"digest":1}]})",
        std::string(R"({"manifests":{"a":1}})"),
        std::string(R"({"manifests":[{"digest":"../../etc/passwd"}]})"),
        std::string(R"({"manifests":"x"})")}) {
    EXPECT_FALSE(ParseManifest(text, "").ok()) << text;
  }
}

Index IndexOf(std::vector<Platform> platforms) {
  Index index;
  for (const Platform& platform : platforms) {
    IndexEntry entry;
    entry.platform = platform;
    entry.descriptor.media_type = platform.ToString();
    index.entries.push_back(entry);
  }
  return index;
}

std::string Choice(const Index& index, const Platform& here) {
  const auto chosen = ChoosePlatform(index, here);
  return chosen.ok() ? chosen->media_type : "none";
}

TEST(PlatformTest, ChoosesTheOwnVariantThenOlderOnes) {
  const Index arm = IndexOf({{"linux", "arm", "v5"},
                             {"linux", "arm", "v7"},
                             {"linux", "arm", "v6"},
                             {"linux", "arm64", "v8"}});
  EXPECT_EQ(Choice(arm, {"linux", "arm", "v7"}), "linux/arm/v7");
  EXPECT_EQ(Choice(arm, {"linux", "arm", "v6"}), "linux/arm/v6");
  EXPECT_EQ(Choice(arm, {"linux", "arm", "v8"}), "linux/arm/v7");
  EXPECT_EQ(Choice(arm, {"linux", "arm64", ""}), "linux/arm64/v8");
  EXPECT_EQ(Choice(arm, {"linux", "amd64", ""}), "none");
  const Index amd = IndexOf({{"linux", "amd64", "v3"}, {"linux", "amd64", ""}});
  EXPECT_EQ(Choice(amd, {"linux", "amd64", ""}), "linux/amd64");
}

TEST(PlatformTest, AnEntryWithoutPlatformIsTheLastResort) {
  const Index index = IndexOf({{"", "", ""}, {"linux", "amd64", ""}});
  EXPECT_EQ(Choice(index, {"linux", "amd64", ""}), "linux/amd64");
  EXPECT_EQ(Choice(index, {"linux", "s390x", ""}), "/");
}

TEST(PlatformTest, NotFoundSaysWhatThereIs) {
  const auto chosen = ChoosePlatform(IndexOf({{"windows", "amd64", ""}}),
                                     {"linux", "amd64", ""});
  EXPECT_TRUE(absl::IsNotFound(chosen.status()));
  EXPECT_NE(chosen.status().message().find("windows/amd64"), std::string::npos);
}

TEST(PlatformTest, AnEmptyIndexIsCalledThat) {
  EXPECT_EQ(ChoosePlatform(Index(), {"linux", "amd64", ""}).status(),
            absl::NotFoundError("the image's index lists no manifest at all"));
}

TEST(PlatformTest, ParsesText) {
  EXPECT_EQ(Platform::Parse("linux/arm/v7")->variant, "v7");
  EXPECT_FALSE(Platform::Parse("linux").ok());
  EXPECT_FALSE(Platform::Parse("linux/").ok());
  EXPECT_FALSE(Platform::Parse("a/b/c/d").ok());
  EXPECT_EQ(Platform::Parse("")->os, "linux");
}

TEST(ConfigTest, ReadsWhatAContainerNeeds) {
  const auto parsed = ParseConfig(absl::StrCat(
      R"({"os":"linux","config":{"Entrypoint":["/e"],"Cmd":["a","b"],
          "Env":["A=1"],"WorkingDir":"/w","User":"1:2","StopSignal":"SIGINT",
          "Volumes":{"/v":{}},"Labels":{"k":"v"}},
          "rootfs":{"type":"layers","diff_ids":[")",
      kDigest, R"("]}})"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.entrypoint, std::vector<std::string>{"/e"});
  EXPECT_EQ(parsed->config.cmd.size(), 2u);
  EXPECT_EQ(parsed->config.env[0], "A=1");
  EXPECT_EQ(parsed->config.working_dir, "/w");
  EXPECT_EQ(parsed->config.user, "1:2");
  EXPECT_EQ(parsed->config.stop_signal, "SIGINT");
  EXPECT_EQ(parsed->config.volumes[0], "/v");
  EXPECT_EQ(parsed->config.labels.at("k"), "v");
  EXPECT_EQ(parsed->diff_ids[0].text(), kDigest);
}

TEST(ConfigTest, NullsMeanNothing) {
  EXPECT_TRUE(ParseConfig(R"({"config":{"Entrypoint":null,"Volumes":null},
                              "rootfs":{"diff_ids":[]}})")
                  .ok());
}

TEST(ConfigTest, RefusesForeignSystemsAndWrongTypes) {
  for (const char* text :
       {"{}", R"({"rootfs":[]})", R"({"rootfs":{"diff_ids":["x"]}})",
        R"({"rootfs":{"diff_ids":"x"}})",
        R"({"os":"windows","rootfs":{"diff_ids":[]}})",
        R"({"rootfs":{"type":"tree","diff_ids":[]}})",
        R"({"rootfs":{"diff_ids":[]},"config":[]})",
        R"({"rootfs":{"diff_ids":[]},"config":{"Cmd":"sh"}})",
        R"({"rootfs":{"diff_ids":[]},"config":{"Env":[1]}})",
        R"({"rootfs":{"diff_ids":[]},"config":{"Volumes":["/v"]}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseConfig(text).status())) << text;
  }
}

}  // namespace
}  // namespace pinion::image
