// Volumes: bind mounts of the node's files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/daemon/one_container_test.h"
#include "tests/integration/daemon/scratch_mount.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::StartsWith;

class VolumesTest : public OneContainerTest {
 protected:
  // The test's volume at /data of a container.
  cri::Mount* Volume(cri::ContainerConfig& config) const {
    cri::Mount* volume = config.add_mounts();
    volume->set_host_path(path_);
    volume->set_container_path("/data");
    return volume;
  }

  // A privileged container that sleeps, with the volume.
  std::string Sleeper(cri::MountPropagation propagation) {
    auto pod_config = bed_.PodConfig("s" + std::to_string(serial_++));
    pod_config.mutable_linux()->mutable_security_context()->set_privileged(
        true);
    const std::string pod = bed_.RunPod(pod_config);
    auto config = bed_.ContainerConfig("app", {"sleep", "1000"});
    Security(config)->set_privileged(true);
    Volume(config)->set_propagation(propagation);
    return bed_.RunContainer(pod, pod_config, config);
  }

  bool Sees(const std::string& id, const std::string& path) {
    return bed_.Exec(id, {"test", "-e", path}).exit_code() == 0;
  }

  const std::string path_ = bed_.dir() + "/volume";
};

TEST_F(VolumesTest, Mounts) {
  const std::string dir = bed_.dir() + "/volume";
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/file") << "content\n";
  EXPECT_EQ(Output("cat /v/file; touch /v/new; touch /ro/new 2>/dev/null || "
                   "echo ro; cat /single",
                   [&dir](auto& c) {
                     auto* rw = c.add_mounts();
                     rw->set_host_path(dir);
                     rw->set_container_path("/v");
                     auto* ro = c.add_mounts();
                     ro->set_host_path(dir);
                     ro->set_container_path("/ro");
                     ro->set_readonly(true);
                     auto* file = c.add_mounts();
                     file->set_host_path(dir + "/file");
                     file->set_container_path("/single");
                   }),
            (Lines{"content", "ro", "content"}));
  EXPECT_TRUE(std::filesystem::exists(dir + "/new"));
}

// The kubelet hands volumes on in the order in which the pod's author wrote
// them.
TEST_F(VolumesTest, AMountWithinAnotherIsNotCoveredByIt) {
  const std::string outer = bed_.dir() + "/outer";
  const std::string inner = bed_.dir() + "/inner";
  std::filesystem::create_directories(outer + "/in");
  std::filesystem::create_directories(inner);
  std::ofstream(outer + "/file") << "outer\n";
  std::ofstream(inner + "/file") << "inner\n";
  EXPECT_EQ(Output("cat /o/file /o/in/file",
                   [&](auto& c) {
                     auto* first = c.add_mounts();
                     first->set_host_path(inner);
                     first->set_container_path("/o/in");
                     auto* second = c.add_mounts();
                     second->set_host_path(outer);
                     second->set_container_path("/o");
                   }),
            (Lines{"outer", "inner"}));
}

// Nothing would ever propagate from or to a private mount: the pod's author
// is to know, not to wonder.
TEST_F(VolumesTest, PropagationNeedsASharedMount) {
  const std::string path = bed_.dir() + "/volume";
  const auto pod_config = bed_.PodConfig("propagation");
  const std::string pod = bed_.RunPod(pod_config);
  const auto create = [&](cri::MountPropagation propagation) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() =
        bed_.ContainerConfig("p" + std::to_string(serial_++), {"sleep", "9"});
    auto* volume = request.mutable_config()->add_mounts();
    volume->set_host_path(path);
    volume->set_container_path("/data");
    volume->set_propagation(propagation);
    cri::CreateContainerResponse response;
    return bed_.client().Call(request, &response);
  };
  {
    const ScratchMount closed(path, MS_PRIVATE);
    for (const auto propagation :
         {cri::PROPAGATION_BIDIRECTIONAL, cri::PROPAGATION_HOST_TO_CONTAINER}) {
      const absl::Status status = create(propagation);
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_NE(std::string(status.message()).find(path), std::string::npos)
          << status;
    }
    EXPECT_TRUE(create(cri::PROPAGATION_PRIVATE).ok());
  }
  const ScratchMount shared(path, MS_SHARED);
  EXPECT_TRUE(create(cri::PROPAGATION_BIDIRECTIONAL).ok());
  EXPECT_TRUE(create(cri::PROPAGATION_HOST_TO_CONTAINER).ok());
}

TEST_F(VolumesTest, MountsOnTheNodeReachWhoAskedForThem) {
  const ScratchMount shared(path_, MS_SHARED);
  const std::string closed = Sleeper(cri::PROPAGATION_PRIVATE);
  const std::string slave = Sleeper(cri::PROPAGATION_HOST_TO_CONTAINER);
  const std::string peer = Sleeper(cri::PROPAGATION_BIDIRECTIONAL);
  const ScratchMount later(path_ + "/later", MS_SHARED);
  std::ofstream(path_ + "/later/file") << "x";
  EXPECT_FALSE(Sees(closed, "/data/later/file"));
  EXPECT_TRUE(Sees(slave, "/data/later/file"));
  EXPECT_TRUE(Sees(peer, "/data/later/file"));
}

TEST_F(VolumesTest, OnlyBidirectionalMountsReachTheNode) {
  const ScratchMount shared(path_, MS_SHARED);
  const std::string command =
      "mkdir -p /data/inner && mount -t tmpfs none /data/inner && "
      "echo > /data/inner/file";
  const std::string inner = path_ + "/inner";
  for (const auto propagation :
       {cri::PROPAGATION_PRIVATE, cri::PROPAGATION_HOST_TO_CONTAINER}) {
    const std::string id = Sleeper(propagation);
    EXPECT_EQ(bed_.Exec(id, {"sh", "-c", command}).exit_code(), 0);
    EXPECT_TRUE(Sees(id, "/data/inner/file"));
    EXPECT_FALSE(std::filesystem::exists(inner + "/file"));
  }
  const std::string peer = Sleeper(cri::PROPAGATION_BIDIRECTIONAL);
  EXPECT_EQ(bed_.Exec(peer, {"sh", "-c", command}).exit_code(), 0);
  EXPECT_TRUE(std::filesystem::exists(inner + "/file"));
  EXPECT_EQ(umount2(inner.c_str(), MNT_DETACH), 0);
}

TEST_F(VolumesTest, RecursiveReadOnlyReachesWhatIsMountedWithin) {
  const ScratchMount inner(path_ + "/inner", MS_SHARED);
  const auto write = [&](bool recursive) {
    return Output(
        "for d in /data /data/inner; do touch $d/x 2>/dev/null && "
        "echo written || echo refused; done",
        [&](auto& c) {
          cri::Mount* volume = Volume(c);
          volume->set_readonly(true);
          volume->set_recursive_read_only(recursive);
        });
  };
  EXPECT_EQ(write(false), (Lines{"refused", "written"}));
  EXPECT_FALSE(last_.mounts(0).recursive_read_only());
  EXPECT_EQ(write(true), (Lines{"refused", "refused"}));
  EXPECT_TRUE(last_.mounts(0).readonly());
  EXPECT_TRUE(last_.mounts(0).recursive_read_only());
}

TEST_F(VolumesTest, RecursiveReadOnlyIsForReadOnlyPrivateVolumes) {
  const ScratchMount shared(path_, MS_SHARED);
  const auto refusal = [&](bool readonly, cri::MountPropagation propagation) {
    const absl::Status status = Creation([&](auto& c) {
      cri::Mount* volume = Volume(c);
      volume->set_readonly(readonly);
      volume->set_recursive_read_only(true);
      volume->set_propagation(propagation);
    });
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(false, cri::PROPAGATION_PRIVATE),
              StartsWith("RROUnsupported: "));
  EXPECT_THAT(refusal(true, cri::PROPAGATION_HOST_TO_CONTAINER),
              StartsWith("RROUnsupported: "));
}

}  // namespace
}  // namespace pinion::testing
