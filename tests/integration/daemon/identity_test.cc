// Who a container's process is, whose processes it sees, and how it is told to
// stop.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/integration/daemon/one_container_test.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// User 1000, of whom /etc/group says 50000, too.
constexpr char kGroupImage[] =
    "gcr.io/k8s-staging-cri-tools/test-image-predefined-group:latest";
// StopSignal SIGUSR1, User 1002:1003.
constexpr char kSettings[] = "registry.k8s.io/pinion-test/settings:1";

class IdentityTest : public OneContainerTest {
 protected:
  // `id -G` of the image's user with group 60000 in addition.
  Lines Groups(cri::SupplementalGroupsPolicy policy) {
    return Output("id -u; id -G", [policy](auto& c) {
      c.mutable_image()->set_image(kGroupImage);
      Security(c)->add_supplemental_groups(60000);
      Security(c)->set_supplemental_groups_policy(policy);
    });
  }

  std::vector<int64_t> GroupsInStatus() const {
    const auto& user = last_.user().linux();
    return {user.supplemental_groups().begin(),
            user.supplemental_groups().end()};
  }
};

TEST_F(IdentityTest, MergedGroupsAreTheImagesAndTheRequests) {
  bed_.Import(kGroupImage);
  EXPECT_EQ(Groups(cri::Merge), (Lines{"1000", "1000 50000 60000"}));
  EXPECT_EQ(last_.user().linux().uid(), 1000);
  EXPECT_EQ(last_.user().linux().gid(), 1000);
  EXPECT_THAT(GroupsInStatus(), ElementsAre(1000, 50000, 60000));
}

TEST_F(IdentityTest, StrictGroupsAreThePrimaryAndTheRequests) {
  bed_.Import(kGroupImage);
  EXPECT_EQ(Groups(cri::Strict), (Lines{"1000", "1000 60000"}));
  EXPECT_THAT(GroupsInStatus(), ElementsAre(1000, 60000));
}

TEST_F(IdentityTest, StrictWithAGroupOfItsOwn) {
  bed_.Import(kGroupImage);
  EXPECT_EQ(Output("id -u; id -G",
                   [](auto& c) {
                     c.mutable_image()->set_image(kGroupImage);
                     Security(c)->mutable_run_as_user()->set_value(1000);
                     Security(c)->mutable_run_as_group()->set_value(4);
                     Security(c)->set_supplemental_groups_policy(cri::Strict);
                   }),
            (Lines{"1000", "4"}));
  EXPECT_EQ(last_.user().linux().gid(), 4);
  EXPECT_THAT(GroupsInStatus(), ElementsAre(4));
}

TEST_F(IdentityTest, ExecHasTheSameUserAndGroups) {
  bed_.Import(kGroupImage);
  const auto pod_config = bed_.PodConfig("exec");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig("app", {"sleep", "1000"});
  config.mutable_image()->set_image(kGroupImage);
  Security(config)->set_supplemental_groups_policy(cri::Strict);
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  EXPECT_EQ(bed_.Exec(id, {"id", "-G"}).stdout(), "1000\n");
}

TEST_F(IdentityTest, AnUnknownGroupsPolicyIsRefused) {
  const absl::Status status = Creation([](auto& c) {
    Security(c)->set_supplemental_groups_policy(
        static_cast<cri::SupplementalGroupsPolicy>(7));
  });
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("supplemental_groups_policy"));
}

TEST_F(IdentityTest, TheImagesUserIsInTheStatus) {
  bed_.Import(kSettings);
  EXPECT_EQ(Output("id -u; id -g",
                   [](auto& c) { c.mutable_image()->set_image(kSettings); }),
            (Lines{"1002", "1003"}));
  EXPECT_EQ(last_.user().linux().uid(), 1002);
  EXPECT_EQ(last_.user().linux().gid(), 1003);
}

// An ephemeral container that looks at another one's processes.
TEST_F(IdentityTest, ATargetsPidNamespaceIsShared) {
  const auto pod_config = bed_.PodConfig("target");
  const std::string pod = bed_.RunPod(pod_config);
  const std::string target = bed_.RunContainer(
      pod, pod_config, bed_.ContainerConfig("target", {"sleep", "4242"}));
  auto config = bed_.ContainerConfig(
      "debug", {"sh", "-c",
                "tr '\\0' ' ' < /proc/1/cmdline; echo; kill -TERM 1; "
                "kill -KILL 1; ls /proc/1/root/bin/sleep"});
  auto* options = Security(config)->mutable_namespace_options();
  options->set_pid(cri::TARGET);
  options->set_target_id(target);
  const std::string debug = bed_.RunContainer(pod, pod_config, config);
  // Signals from within do not end a PID 1 that has no handler.
  EXPECT_EQ(bed_.AwaitExit(debug).exit_code(), 0);
  EXPECT_THAT(bed_.LogLines("target", "debug"),
              ElementsAre("sleep 4242 ", "/proc/1/root/bin/sleep"));
  EXPECT_EQ(bed_.Status(target).state(), cri::CONTAINER_RUNNING);
}

TEST_F(IdentityTest, ATargetRunsInTheSamePod) {
  const auto pod_config = bed_.PodConfig("other");
  const std::string pod = bed_.RunPod(pod_config);
  const std::string other = bed_.RunContainer(
      pod, pod_config, bed_.ContainerConfig("other", {"sleep", "1000"}));
  const auto with_target = [this](const std::string& target) {
    return Creation([&target](auto& c) {
      auto* options = Security(c)->mutable_namespace_options();
      options->set_pid(cri::TARGET);
      options->set_target_id(target);
    });
  };
  EXPECT_TRUE(absl::IsInvalidArgument(with_target(other)));
  EXPECT_TRUE(absl::IsNotFound(with_target(std::string(64, 'a'))));
  EXPECT_TRUE(absl::IsInvalidArgument(with_target("")));
}

TEST_F(IdentityTest, TheImagesStopSignalUnlessTheRequestHasOne) {
  bed_.Import(kSettings);
  const auto pod_config = bed_.PodConfig("stop");
  const std::string pod = bed_.RunPod(pod_config);
  const auto stopped_by = [&](const std::string& name, cri::Signal signal) {
    auto config = bed_.ContainerConfig(
        name, {"sh", "-c",
               "trap 'exit 1' TERM; trap 'exit 2' USR1; trap 'exit 3' USR2; "
               "echo up; while :; do sleep 0.05; done"});
    config.mutable_image()->set_image(kSettings);
    config.set_stop_signal(signal);
    const std::string id = bed_.RunContainer(pod, pod_config, config);
    bed_.AwaitLog("stop", name);
    const auto shown = bed_.Status(id).stop_signal();
    cri::StopContainerRequest stop;
    stop.set_container_id(id);
    stop.set_timeout(60);
    cri::StopContainerResponse response;
    const absl::Status status = bed_.client().Call(stop, &response);
    EXPECT_TRUE(status.ok()) << status;
    return std::make_pair(shown, bed_.Status(id).exit_code());
  };
  EXPECT_EQ(stopped_by("image", cri::SIGNAL_RUNTIME_DEFAULT),
            std::make_pair(cri::SIGNAL_SIGUSR1, 2));
  EXPECT_EQ(stopped_by("request", cri::SIGNAL_SIGUSR2),
            std::make_pair(cri::SIGNAL_SIGUSR2, 3));
}

}  // namespace
}  // namespace pinion::testing
