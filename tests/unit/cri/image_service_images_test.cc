#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

using Stub = api::ImageService::Stub;
using ::testing::HasSubstr;

class ImageRpcsTest : public ServedTest {
 protected:
  grpc::Status Pull(const std::string& image, std::string* id) {
    api::PullImageRequest request;
    request.mutable_image()->set_image(image);
    request.mutable_auth()->set_username("u");
    request.mutable_auth()->set_password("p");
    api::PullImageResponse response;
    const grpc::Status status =
        Call(*image_rpc_, &Stub::PullImage, request, &response);
    *id = response.image_ref();
    return status;
  }
  api::ImageStatusResponse Status(const std::string& image,
                                  bool verbose = false) {
    api::ImageStatusRequest request;
    request.mutable_image()->set_image(image);
    request.set_verbose(verbose);
    api::ImageStatusResponse response;
    EXPECT_TRUE(Call(*image_rpc_, &Stub::ImageStatus, request, &response).ok());
    return response;
  }
  grpc::Status Remove(const std::string& image) {
    api::RemoveImageRequest request;
    request.mutable_image()->set_image(image);
    api::RemoveImageResponse response;
    return Call(*image_rpc_, &Stub::RemoveImage, request, &response);
  }
};

TEST_F(ImageRpcsTest, LifeOfAnImage) {
  EXPECT_FALSE(Status("shop/web:1").has_image());
  std::string id;
  ASSERT_TRUE(Pull("shop/web:1", &id).ok());
  EXPECT_THAT(id, testing::StartsWith("sha256:"));
  EXPECT_EQ(images_.last_credentials().password, "p");
  // By tag, by id and by digest it is the same image.
  for (const std::string& name :
       {std::string("shop/web:1"), id, "shop/web@" + id}) {
    const api::ImageStatusResponse status = Status(name);
    EXPECT_EQ(status.image().id(), id) << name;
    EXPECT_EQ(status.image().uid().value(), 1002);
    EXPECT_EQ(status.info_size(), 0);
  }
  ASSERT_TRUE(Remove("shop/web:1").ok());
  ASSERT_TRUE(Remove("shop/web:1").ok());
  EXPECT_FALSE(Status(id).has_image());
}

TEST_F(ImageRpcsTest, ListWithAndWithoutFilter) {
  std::string a;
  std::string b;
  ASSERT_TRUE(Pull("a:1", &a).ok());
  ASSERT_TRUE(Pull("b:1", &b).ok());
  api::ListImagesRequest request;
  api::ListImagesResponse response;
  ASSERT_TRUE(Call(*image_rpc_, &Stub::ListImages, request, &response).ok());
  EXPECT_EQ(response.images_size(), 2);
  request.mutable_filter()->mutable_image()->set_image("b:1");
  ASSERT_TRUE(Call(*image_rpc_, &Stub::ListImages, request, &response).ok());
  ASSERT_EQ(response.images_size(), 1);
  EXPECT_EQ(response.images(0).id(), b);
  request.mutable_filter()->mutable_image()->set_image("c:1");
  ASSERT_TRUE(Call(*image_rpc_, &Stub::ListImages, request, &response).ok());
  EXPECT_EQ(response.images_size(), 0);
}

TEST_F(ImageRpcsTest, ErrorsKeepCodeAndText) {
  std::string id;
  EXPECT_EQ(Pull("", &id).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Pull("a//b", &id).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Remove("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  images_.pull_status =
      absl::UnavailableError("RegistryUnavailable: connect 127.0.0.1:5000");
  const grpc::Status status = Pull("down/a:1", &id);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  // The kubelet matches the word.
  EXPECT_THAT(status.error_message(),
              testing::StartsWith("RegistryUnavailable"));
  image::ImageInfo pinned;
  pinned.id = "sha256:1";
  pinned.pinned = true;
  images_.Put(pinned);
  EXPECT_EQ(Remove("sha256:1").error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ImageRpcsTest, VerboseInfoHasTheConfiguration) {
  image::ImageInfo image;
  image.id = "sha256:1";
  image.repo_tags = {"a:1"};
  image.config.entrypoint = {"/bin/\xFF"};  // not UTF-8
  image.config.env = {"PATH=/bin"};
  images_.Put(image);
  const auto info =
      nlohmann::json::parse(Status("a:1", /*verbose=*/true).info().at("info"));
  EXPECT_EQ(info["imageConfig"]["Env"][0], "PATH=/bin");
  EXPECT_EQ(info["imageConfig"]["Entrypoint"].size(), 1u);
}

TEST_F(ImageRpcsTest, ImageFsInfoHasBothFileSystems) {
  api::ImageFsInfoResponse response;
  ASSERT_TRUE(Call(*image_rpc_, &Stub::ImageFsInfo, api::ImageFsInfoRequest(),
                   &response)
                  .ok());
  ASSERT_EQ(response.image_filesystems_size(), 1);
  EXPECT_EQ(response.image_filesystems(0).used_bytes().value(), 98765u);
  EXPECT_EQ(response.image_filesystems(0).fs_id().mountpoint(),
            "/var/lib/pinion");
  EXPECT_GT(response.image_filesystems(0).timestamp(), 0);
  ASSERT_EQ(response.container_filesystems_size(), 1);
  EXPECT_EQ(response.container_filesystems(0).inodes_used().value(), 3u);
}

TEST_F(ImageRpcsTest, AdminImportsAnArchive) {
  admin::v1::ImportImageRequest request;
  request.set_path("/tmp/busybox.tar");
  admin::v1::ImportImageResponse response;
  using Admin = admin::v1::AdminService::Stub;
  ASSERT_TRUE(Call(*admin_rpc_, &Admin::ImportImage, request, &response).ok());
  EXPECT_EQ(response.references(0), "archive:latest");
  EXPECT_TRUE(Status(response.image_id()).has_image());
  request.set_path("relative.tar");
  EXPECT_EQ(
      Call(*admin_rpc_, &Admin::ImportImage, request, &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
  request.set_path("/tmp/missing.tar");
  EXPECT_EQ(
      Call(*admin_rpc_, &Admin::ImportImage, request, &response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(ImageRpcsTest, AdminShowsAPodsTimeline) {
  const std::string pod = RunPod();
  state::ContainerRecord container;
  for (const auto& [id, created] :
       std::vector<std::pair<std::string, int64_t>>{{"a", 20}, {"b", 10}}) {
    container.set_id(id);
    container.set_pod_id(pod);
    container.mutable_spec()->set_name(id);
    container.set_created_at_ns(created);
    container.clear_phases();
    container.add_phases()->set_name("exec");
    runtime_.PutContainer(container);
  }
  admin::v1::PodTimelineRequest request;
  request.set_pod_id(pod.substr(0, 13));
  admin::v1::PodTimelineResponse response;
  using Admin = admin::v1::AdminService::Stub;
  ASSERT_TRUE(Call(*admin_rpc_, &Admin::PodTimeline, request, &response).ok());
  EXPECT_EQ(response.pod_id(), pod);
  EXPECT_EQ(response.namespace_(), "shop");
  ASSERT_EQ(response.phases_size(), 3);
  EXPECT_EQ(response.phases(0).object(), "pod");
  EXPECT_EQ(response.phases(0).duration_ns(), 900'000);
  EXPECT_EQ(response.phases(1).object(), "b");
  EXPECT_EQ(response.phases(2).object(), "a");
  request.set_pod_id("eeee");
  EXPECT_EQ(
      Call(*admin_rpc_, &Admin::PodTimeline, request, &response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(ImageRpcsTest, AdminShowsUsageOfReadyPods) {
  runtime_.hooks.measure_pod = [](runtime::PodUsage& usage) {
    usage.cgroup.emplace();
    usage.cgroup->usage.memory_current = 8192;
  };
  const std::string pod = RunPod("web-0");
  ASSERT_TRUE(runtime_.StopPod(RunPod("web-1")).ok());
  using Admin = admin::v1::AdminService::Stub;
  admin::v1::PodUsageRequest request;
  admin::v1::PodUsageResponse response;
  ASSERT_TRUE(Call(*admin_rpc_, &Admin::PodUsage, request, &response).ok());
  ASSERT_EQ(response.pods_size(), 1);
  EXPECT_EQ(response.pods(0).id(), pod);
  EXPECT_EQ(response.pods(0).usage().memory_bytes(), 8192U);
  EXPECT_GT(response.pods(0).monotonic_ns(), 0);

  request.set_pod_id(pod.substr(0, 13));
  ASSERT_TRUE(Call(*admin_rpc_, &Admin::PodUsage, request, &response).ok());
  EXPECT_EQ(response.pods_size(), 1);
  request.set_pod_id("eeee");
  EXPECT_EQ(
      Call(*admin_rpc_, &Admin::PodUsage, request, &response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(ImageRpcsTest, AdminTellsWherePodsNetworksAre) {
  const std::string pod = RunPod("web-0");
  ASSERT_TRUE(runtime_.StopPod(RunPod("web-1")).ok());
  using Admin = admin::v1::AdminService::Stub;
  admin::v1::PodNetworkRequest request;
  admin::v1::PodNetworkResponse response;
  ASSERT_TRUE(Call(*admin_rpc_, &Admin::PodNetwork, request, &response).ok());
  EXPECT_EQ(response.pods_size(), 2);

  const auto found = runtime_.FindPod(pod);
  ASSERT_TRUE(found.ok());
  const state::PodSpec& spec = (*found)->spec();
  for (const std::string& name :
       {pod.substr(0, 13), spec.namespace_() + "/web-0"}) {
    request.set_pod_id(name);
    ASSERT_TRUE(Call(*admin_rpc_, &Admin::PodNetwork, request, &response).ok());
    ASSERT_EQ(response.pods_size(), 1) << name;
    EXPECT_EQ(response.pods(0).id(), pod);
    EXPECT_TRUE(response.pods(0).ready());
    EXPECT_EQ(response.pods(0).ips(0), (*found)->ip());
  }
  request.set_pod_id(spec.namespace_() + "/web-2");
  EXPECT_EQ(
      Call(*admin_rpc_, &Admin::PodNetwork, request, &response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace pinion::cri
