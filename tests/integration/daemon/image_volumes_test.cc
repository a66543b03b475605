// Volumes whose source is an image.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/daemon/one_container_test.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Several layers with links, whiteouts and opaque directories, and one with a
// link to the node's /tmp.
constexpr char kLayered[] = "registry.k8s.io/pinion-test/layered:1";
constexpr char kHostile[] = "registry.k8s.io/pinion-test/hostile-symlink:1";

class ImageVolumesTest : public OneContainerTest {
 protected:
  static cri::Mount* Image(cri::ContainerConfig& config,
                           const std::string& image, const std::string& path,
                           const std::string& sub_path = "") {
    cri::Mount* mount = config.add_mounts();
    mount->set_container_path(path);
    mount->mutable_image()->set_image(image);
    mount->set_image_sub_path(sub_path);
    return mount;
  }

  // What a sub-path of an image is refused with, after the common beginning.
  std::string Refusal(const std::string& image, const std::string& sub_path) {
    const absl::Status status =
        Creation([&](auto& c) { Image(c, image, "/image", sub_path); });
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("ImageVolumeMountFailed: "));
    return std::string(status.message());
  }
};

TEST_F(ImageVolumesTest, AreReadOnlyAndNotExecutable) {
  EXPECT_EQ(Output("ls -d /image/bin; touch /image/x 2>/dev/null || echo "
                   "read-only; /image/bin/busybox true 2>/dev/null || echo "
                   "noexec; grep -c ' /image .*nosuid,nodev' "
                   "/proc/self/mountinfo",
                   [](auto& c) { Image(c, DaemonBed::kImage, "/image"); }),
            (Lines{"/image/bin", "read-only", "noexec", "1"}));
  ASSERT_EQ(last_.mounts_size(), 1);
  EXPECT_EQ(last_.mounts(0).image().image(), DaemonBed::kImage);
  EXPECT_EQ(last_.mounts(0).host_path(), "");
}

TEST_F(ImageVolumesTest, ShowTheImageAsItsLayersMakeIt) {
  bed_.Import(kLayered);
  EXPECT_EQ(Output("cd /image; ls opaque removed; cat implied/parents/file; "
                   "cat links/absolute 2>/dev/null || echo not followed; "
                   "stat -c '%a %u %g' kept/file",
                   [](auto& c) { Image(c, kLayered, "/image"); }),
            (Lines{"opaque:", "new", "", "removed:", "new",
                   "no entry names the parents", "not followed", "604 1 2"}));
}

TEST_F(ImageVolumesTest, SubPathsAreDirectoriesFilesAndLinksWithin) {
  bed_.Import(kLayered);
  bed_.Import(kHostile);
  EXPECT_EQ(Output("ls /dir; stat -c %s /file /link /absolute; ls /door",
                   [](auto& c) {
                     Image(c, kLayered, "/dir", "implied/parents");
                     Image(c, kLayered, "/file", "links/one");
                     Image(c, kLayered, "/link", "links/relative");
                     Image(c, kLayered, "/absolute", "links/absolute");
                     Image(c, kHostile, "/door", "door");
                   }),
            (Lines{"file", "7", "7", "7", "pn-hostile-symlink"}));
  EXPECT_EQ(last_.mounts(0).image_sub_path(), "implied/parents");
}

TEST_F(ImageVolumesTest, SubPathsThatAreNotThere) {
  bed_.Import(kLayered);
  for (const char* path : {"nope", "links/dangling", "implied/parents/file/x",
                           "door/passwd", "removed/file"}) {
    EXPECT_THAT(Refusal(kLayered, path), HasSubstr("is not in image")) << path;
  }
}

TEST_F(ImageVolumesTest, SubPathsThatLeaveTheImage) {
  for (const char* path : {"../etc", "links/../../etc", "..", "/etc"}) {
    EXPECT_THAT(Refusal(DaemonBed::kImage, path), HasSubstr("image_sub_path"))
        << path;
  }
}

TEST_F(ImageVolumesTest, WhatDoesNotGoTogether) {
  const auto refused = [this](const auto& change) {
    const absl::Status status = Creation(
        [&](auto& c) { change(*Image(c, DaemonBed::kImage, "/image")); });
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("ImageVolumeMountFailed: "));
  };
  refused([](cri::Mount& m) { m.set_host_path("/tmp"); });
  refused([](cri::Mount& m) { m.mutable_image()->clear_image(); });
  refused([](cri::Mount& m) {
    m.set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  });
}

TEST_F(ImageVolumesTest, AnImageThatIsNotHere) {
  const absl::Status status =
      Creation([](auto& c) { Image(c, "example.com/none:1", "/image"); });
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              StartsWith("ImageVolumeMountFailed: "));
}

// The layers stay while a container needs them, whatever becomes of the image
// and the daemon.
TEST_F(ImageVolumesTest, OutliveTheirImage) {
  bed_.Import(kLayered);
  const auto pod_config = bed_.PodConfig("outlives");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig("app", {"cat", "/image/times"});
  Image(config, kLayered, "/image");
  const std::string id = bed_.Create(pod, pod_config, config);
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image(kLayered);
  cri::RemoveImageResponse removed;
  const auto removal = bed_.client().Call(remove, &removed);
  ASSERT_TRUE(removal.ok()) << removal;
  bed_.Kill();
  bed_.Start();
  bed_.StartContainer(id);
  const auto status = bed_.AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 0) << status.message();
  bed_.RemoveAll();
  bed_.Import(kLayered);
}

}  // namespace
}  // namespace pinion::testing
