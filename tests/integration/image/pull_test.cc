// Pulls from Debian's docker-registry. Needs root (ownership, whiteouts).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/image/registry_bed.h"
#include "tests/support/tar_builder.h"

namespace pinion::image {
namespace {

using ::pinion::testing::DigestOf;
using ::pinion::testing::MakeTestImage;
using ::pinion::testing::Packing;
using ::pinion::testing::TarBuilder;
using ::pinion::testing::TarEntry;
using ::pinion::testing::TestImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string Tar(const std::string& name, const std::string& content) {
  return TarBuilder().Dir("d").File("d/" + name, content).Finish();
}

class PullTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (HaveRegistry()) bed_ = new RegistryBed();
  }
  static void TearDownTestSuite() {
    delete bed_;
    bed_ = nullptr;
  }

  void SetUp() override {
    if (bed_ == nullptr) GTEST_SKIP() << "docker-registry is not installed";
    store_.Open();
  }

  std::string Name(const std::string& rest) const {
    return absl::StrCat(bed_->address(), "/", rest);
  }

  std::string Pull(const std::string& rest) {
    const auto id = store_.service().Pull(Name(rest), {});
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }

  ImageInfo Find(const std::string& reference) {
    const auto found = store_.service().Find(reference);
    EXPECT_TRUE(found.has_value()) << reference;
    return found.value_or(ImageInfo());
  }

  static RegistryBed* bed_;
  StoreBed store_;
};

RegistryBed* PullTest::bed_ = nullptr;

TEST_F(PullTest, EveryPackingAndBothKindsOfManifest) {
  int number = 0;
  for (const Packing packing :
       {Packing::kPlain, Packing::kGzip, Packing::kZstd}) {
    for (const bool docker : {false, true}) {
      const std::string text = absl::StrCat("content ", ++number);
      const TestImage image =
          MakeTestImage({Tar("a", text), Tar("b", "b")}, packing, docker);
      bed_->Put("kinds", absl::StrCat(number), image);
      EXPECT_EQ(Pull(absl::StrCat("kinds:", number)), image.config_digest);
      const ImageInfo info = Find(image.config_digest);
      EXPECT_EQ(store_.Read(info, "d/a"), text);
      EXPECT_EQ(store_.Read(info, "d/b"), "b");
      EXPECT_EQ(info.layer_dirs.size(), 2u);
    }
  }
}

TEST_F(PullTest, TheImageIsFoundByAllItsNames) {
  const TestImage image = MakeTestImage({Tar("f", "x")}, Packing::kGzip, false,
                                        R"({"Cmd":["/f"],"User":"7"})");
  bed_->Put("names", "v1", image);
  const std::string id = Pull("names:v1");
  EXPECT_EQ(id, image.config_digest);
  const std::string by_digest = Name("names@" + image.manifest_digest);
  for (const std::string& name :
       {Name("names:v1"), by_digest, id, id.substr(7), id.substr(0, 20),
        id.substr(7, 12), Name("names:v1@" + image.manifest_digest)}) {
    EXPECT_EQ(Find(name).id, id) << name;
  }
  const ImageInfo info = Find(id);
  EXPECT_THAT(info.repo_tags, ElementsAre(Name("names:v1")));
  EXPECT_THAT(info.repo_digests, ElementsAre(by_digest));
  EXPECT_THAT(info.config.cmd, ElementsAre("/f"));
  EXPECT_EQ(info.config.user, "7");
  EXPECT_GT(info.size_bytes, 0u);
  EXPECT_FALSE(info.pinned);
  for (const std::string& name :
       {Name("names:v2"), Name("names"), std::string("sha256:"),
        std::string(64, '0'), std::string("no such"), std::string()}) {
    EXPECT_FALSE(store_.service().Find(name).has_value()) << name;
  }
}

TEST_F(PullTest, AnIndexIsResolvedForThePlatform) {
  const TestImage amd = MakeTestImage({Tar("f", "amd64")});
  const TestImage arm = MakeTestImage({Tar("f", "arm64")});
  bed_->Put("multi", "amd", amd);
  bed_->Put("multi", "arm", arm);
  const auto entry = [](const TestImage& image, const std::string& platform) {
    return absl::StrCat(
        R"({"mediaType":")", image.manifest_type, R"(","digest":")",
        image.manifest_digest, R"(","size":)", image.manifest.size(),
        R"(,"platform":{"os":"linux","architecture":")", platform, R"("}})");
  };
  const std::string index =
      absl::StrCat(R"({"schemaVersion":2,"mediaType":)",
                   R"("application/vnd.oci.image.index.v1+json","manifests":[)",
                   entry(arm, "arm64"), ",", entry(amd, "amd64"), "]}");
  bed_->PutManifest("multi", "all", index);
  const std::string id = Pull("multi:all");
  EXPECT_EQ(id, amd.config_digest);
  EXPECT_THAT(Find(id).repo_digests,
              ElementsAre(Name("multi@" + DigestOf(index))));
  store_.options().platform = "linux/s390x";
  const auto none = store_.Open().Pull(Name("multi:all"), {});
  EXPECT_TRUE(absl::IsNotFound(none.status()));
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("linux/arm64"));
}

TEST_F(PullTest, ByDigestOnlyThatDigest) {
  const TestImage image = MakeTestImage({Tar("f", "by digest")});
  bed_->Put("digests", "x", image);
  EXPECT_EQ(Pull("digests@" + image.manifest_digest), image.config_digest);
  EXPECT_THAT(Find(image.config_digest).repo_tags, IsEmpty());
  const auto missing =
      store_.service().Pull(Name("digests@" + DigestOf("other")), {});
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
}

TEST_F(PullTest, AMovedTagLeavesTheOldImageItsDigest) {
  const TestImage old_image = MakeTestImage({Tar("f", "old")});
  const TestImage new_image = MakeTestImage({Tar("f", "new")});
  bed_->Put("moving", "t", old_image);
  Pull("moving:t");
  bed_->Put("moving", "t", new_image);
  EXPECT_EQ(Pull("moving:t"), new_image.config_digest);
  EXPECT_EQ(Find(Name("moving:t")).id, new_image.config_digest);
  const ImageInfo old_info = Find(old_image.config_digest);
  EXPECT_THAT(old_info.repo_tags, IsEmpty());
  EXPECT_THAT(old_info.repo_digests,
              ElementsAre(Name("moving@" + old_image.manifest_digest)));
}

TEST_F(PullTest, ImagesShareTheirLayers) {
  const std::string base = Tar("base", std::string(10'000, 'b'));
  const TestImage one = MakeTestImage({base, Tar("one", "1")});
  const TestImage two = MakeTestImage({base, Tar("two", "2")}, Packing::kZstd);
  bed_->Put("shared", "one", one);
  bed_->Put("shared", "two", two);
  Pull("shared:one");
  Pull("shared:two");
  EXPECT_EQ(store_.LayerNames().size(), 3u);
  EXPECT_EQ(Find(Name("shared:one")).layer_dirs[1],
            Find(Name("shared:two")).layer_dirs[1]);
  ASSERT_TRUE(store_.service().Remove(Name("shared:one")).ok());
  EXPECT_EQ(store_.LayerNames().size(), 2u);
  EXPECT_EQ(store_.Read(Find(Name("shared:two")), "d/base"),
            std::string(10'000, 'b'));
  ASSERT_TRUE(store_.service().Remove(Name("shared:two")).ok());
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
  EXPECT_TRUE(store_.service().Remove(Name("shared:two")).ok());
}

TEST_F(PullTest, ALayerThatComesTwiceIsOneDirectory) {
  const std::string twice = Tar("f", "same");
  const TestImage image = MakeTestImage({twice, Tar("f", "between"), twice});
  bed_->Put("twice", "x", image);
  Pull("twice:x");
  const ImageInfo info = Find(Name("twice:x"));
  EXPECT_EQ(info.layer_dirs.size(), 2u);
  EXPECT_EQ(store_.Read(info, "d/f"), "same");
}

TEST_F(PullTest, DirectoriesThatALayerDoesNotNameKeepTheirAttributes) {
  TarEntry tmp;
  tmp.name = "tmp";
  tmp.type = '5';
  tmp.mode = 01777;
  tmp.uid = 5;
  tmp.mtime = 99;
  TarEntry root;
  root.name = "./";
  root.type = '5';
  root.mode = 0555;
  const std::string base = TarBuilder().Add(root).Add(tmp).Finish();
  const std::string top = TarBuilder().File("tmp/x", "y").Finish();
  const TestImage image = MakeTestImage({base, top});
  bed_->Put("implicit", "x", image);
  Pull("implicit:x");
  const ImageInfo info = Find(Name("implicit:x"));
  struct stat st = {};
  const std::string layer = store_.root() + "/" + info.layer_dirs[0];
  ASSERT_EQ(stat((layer + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777u);
  EXPECT_EQ(st.st_uid, 5u);
  EXPECT_EQ(st.st_mtim.tv_sec, 99);
  EXPECT_EQ(info.root_layer_dir, info.layer_dirs[1]);
  // On another base the same archive is another layer.
  const TestImage other = MakeTestImage({Tar("f", "base"), top});
  bed_->Put("implicit", "y", other);
  Pull("implicit:y");
  const ImageInfo second = Find(Name("implicit:y"));
  EXPECT_NE(second.layer_dirs[0], info.layer_dirs[0]);
  const std::string plain = store_.root() + "/" + second.layer_dirs[0];
  ASSERT_EQ(stat((plain + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
}

TEST_F(PullTest, AHundredPullsOfOneImageAreOne) {
  const TestImage image =
      MakeTestImage({Tar("a", std::string(1 << 20, 'a')), Tar("b", "b")});
  bed_->Put("many", "x", image);
  std::vector<std::thread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([this, &image] {
      const auto id = store_.service().Pull(Name("many:x"), {});
      ASSERT_TRUE(id.ok()) << id.status();
      EXPECT_EQ(*id, image.config_digest);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_.LayerNames().size(), 2u);
  EXPECT_EQ(store_.service().List().size(), 1u);
}

TEST_F(PullTest, DifferentImagesAtOnceShareWhatTheyShare) {
  const std::string base = Tar("base", std::string(1 << 20, 'b'));
  for (int i = 0; i < 8; ++i) {
    bed_->Put("crowd", absl::StrCat(i),
              MakeTestImage({base, Tar("own", absl::StrCat(i))}));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] { Pull(absl::StrCat("crowd:", i)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_.LayerNames().size(), 9u);
  EXPECT_EQ(store_.service().List().size(), 8u);
}

TEST_F(PullTest, AHostileLayerLeavesNothing) {
  const TestImage image =
      MakeTestImage({Tar("good", std::string(100'000, 'g')),
                     TarBuilder().File("../../evil", "x").Finish()});
  bed_->Put("hostile", "x", image);
  const auto id = store_.service().Pull(Name("hostile:x"), {});
  EXPECT_EQ(id.status().code(), absl::StatusCode::kDataLoss) << id.status();
  EXPECT_THAT(std::string(id.status().message()), HasSubstr("\"..\""));
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
  EXPECT_THAT(store_.service().List(), IsEmpty());
}

TEST_F(PullTest, AWrongDiffIdIsRefused) {
  TestImage image = MakeTestImage({Tar("f", "x")});
  const TestImage other = MakeTestImage({Tar("f", "y")});
  // The other image's configuration with this one's layers.
  std::string manifest = other.manifest;
  manifest.replace(manifest.find(other.layer_digests[0]), 71,
                   image.layer_digests[0]);
  const auto old_size = absl::StrCat(
      R"("size":)", other.blobs.at(other.layer_digests[0]).size(), "}]");
  manifest.replace(
      manifest.find(old_size), old_size.size(),
      absl::StrCat(R"("size":)", image.blobs.at(image.layer_digests[0]).size(),
                   "}]"));
  bed_->Put("diffid", "a", image);
  bed_->Put("diffid", "b", other);
  bed_->PutManifest("diffid", "mixed", manifest);
  const auto id = store_.service().Pull(Name("diffid:mixed"), {});
  EXPECT_THAT(std::string(id.status().message()), HasSubstr("unpacked layer"));
  EXPECT_THAT(store_.LayerNames(), IsEmpty());
}

TEST_F(PullTest, ErrorsHaveTheCodesThatCallersActOn) {
  ImageService& service = store_.service();
  EXPECT_TRUE(absl::IsInvalidArgument(service.Pull("UPPER", {}).status()));
  EXPECT_TRUE(absl::IsNotFound(service.Pull(Name("absent:x"), {}).status()));
  // A port that nobody listens on: discard (RFC 863).
  const auto away = service.Pull("127.0.0.1:9/app", {});
  EXPECT_TRUE(absl::IsUnavailable(away.status()));
  EXPECT_THAT(std::string(away.status().message()),
              StartsWith("RegistryUnavailable"));
}

TEST_F(PullTest, MetricsCountPulls) {
  bed_->Put("metrics", "x", MakeTestImage({Tar("f", "metrics")}));
  Pull("metrics:x");
  EXPECT_FALSE(store_.service().Pull(Name("absent:x"), {}).ok());
  const std::string text = store_.metrics().Render();
  EXPECT_THAT(text, HasSubstr("pinion_image_pulls_total{result=\"ok\"} 1"));
  EXPECT_THAT(text, HasSubstr("pinion_image_pulls_total{result=\"error\"} 1"));
  EXPECT_THAT(text, HasSubstr("pinion_image_pull_seconds_count 2"));
  EXPECT_THAT(text, HasSubstr("pinion_image_layers 1"));
  EXPECT_THAT(text, HasSubstr("pinion_image_images 1"));
}

TEST(BasicAuthenticationTest, OnlyTheRightPasswordPulls) {
  if (!HaveRegistry()) GTEST_SKIP() << "docker-registry is not installed";
  // bcrypt of "secret", 16 rounds.
  RegistryBed bed(
      "someone:"
      "$2b$04$Q1KlpcTeXFBxIqyUtpr5v.gh6juCcw6xE6gziyMK8mchFUot2yY1C");
  bed.Put("private", "x", MakeTestImage({Tar("f", "private")}));
  StoreBed store;
  store.Open();
  const std::string name = bed.address() + "/private:x";
  EXPECT_TRUE(
      absl::IsPermissionDenied(store.service().Pull(name, {}).status()));
  Credentials credentials;
  credentials.username = "someone";
  credentials.password = "wrong";
  EXPECT_TRUE(absl::IsPermissionDenied(
      store.service().Pull(name, credentials).status()));
  credentials.password = "secret";
  EXPECT_TRUE(store.service().Pull(name, credentials).ok());
  ASSERT_TRUE(store.service().Remove(name).ok());
  Credentials encoded;
  encoded.auth = absl::Base64Escape("someone:secret");
  encoded.server_address = "http://" + bed.address();
  const auto id = store.service().Pull(name, encoded);
  EXPECT_TRUE(id.ok()) << id.status();
  ASSERT_TRUE(store.service().Remove(name).ok());
  // Meant for another registry.
  encoded.server_address = "other.example";
  EXPECT_TRUE(
      absl::IsPermissionDenied(store.service().Pull(name, encoded).status()));
}

TEST(TlsTest, OnlyATrustedCertificateServes) {
  if (!HaveRegistry()) GTEST_SKIP() << "docker-registry is not installed";
  RegistryBed bed("", /*tls=*/true);
  const TestImage image =
      MakeTestImage({Tar("f", std::string(8'000'000, 's')), Tar("g", "g")},
                    Packing::kPlain);  // over HTTP/2, past its windows
  bed.Put("app", "x", image);
  const testing::ScratchDir hosts;
  const std::string dir = absl::StrCat(hosts.path(), "/", bed.address());
  std::filesystem::create_directories(dir);
  const auto pull = [&](const std::string& more) {
    std::ofstream(dir + "/hosts.toml")
        << "server = \"https://" << bed.address() << "\"\n"
        << more;
    StoreBed store;
    store.options().registry_config_dir = hosts.path();
    return store.Open().Pull(bed.address() + "/app:x", {}).status();
  };
  const absl::Status untrusted = pull("");
  EXPECT_TRUE(absl::IsFailedPrecondition(untrusted)) << untrusted;
  EXPECT_THAT(std::string(untrusted.message()), HasSubstr("certificate"));
  const absl::Status trusted =
      pull(absl::StrCat("ca = \"", bed.ca_file(), "\"\n"));
  EXPECT_TRUE(trusted.ok()) << trusted;
  EXPECT_TRUE(pull("skip_verify = true\n").ok());
  EXPECT_THAT(std::string(pull("ca = \"absent\"\n").message()),
              HasSubstr("hosts.toml:2: ca"));
}

}  // namespace
}  // namespace pinion::image
