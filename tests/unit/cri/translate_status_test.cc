#include "cri/translate_status.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "cri/translate_container.h"
#include "cri/translate_sandbox.h"
#include "tests/unit/cri/requests.h"

namespace pinion::cri {
namespace {

using google::protobuf::util::MessageDifferencer;

state::PodRecord Pod() {
  state::PodRecord pod;
  pod.set_id(std::string(64, 'f'));
  *pod.mutable_spec() = ToPodSpec(PodRequest()).value();
  pod.set_state(state::POD_READY);
  pod.set_created_at_ns(1700000000000000001);
  pod.set_ip("10.88.0.7");
  pod.add_additional_ips("fd00::7");
  return pod;
}

state::ContainerRecord Container() {
  state::ContainerRecord container;
  container.set_id(std::string(64, 'c'));
  container.set_pod_id(std::string(64, 'f'));
  *container.mutable_spec() = ToContainerSpec(ContainerRequest()).value();
  container.set_state(state::CONTAINER_EXITED);
  container.set_image_id("sha256:1");
  container.set_image_ref("shop/web@sha256:2");
  container.set_created_at_ns(1);
  container.set_started_at_ns(2);
  container.set_finished_at_ns(3);
  container.set_exit_code(137);
  container.set_reason("OOMKilled");
  container.set_message("memory.max of 64 MiB");
  container.set_log_path("/var/log/pods/x/server/2.log");
  container.mutable_user()->set_uid(1000);
  container.mutable_user()->set_gid(1001);
  container.mutable_user()->add_supplemental_groups(2000);
  container.set_stop_signal(10);
  return container;
}

TEST(PodSandboxStatusTest, GivesBackWhatWasAsked) {
  const api::PodSandboxConfig asked = PodRequest().config();
  api::PodSandboxStatus status;
  ToPodSandboxStatus(Pod(), &status);
  EXPECT_EQ(status.id(), std::string(64, 'f'));
  EXPECT_TRUE(MessageDifferencer::Equals(status.metadata(), asked.metadata()));
  EXPECT_EQ(status.state(), api::SANDBOX_READY);
  EXPECT_EQ(status.created_at(), 1700000000000000001);
  EXPECT_EQ(status.network().ip(), "10.88.0.7");
  EXPECT_EQ(status.network().additional_ips(0).ip(), "fd00::7");
  EXPECT_TRUE(MessageDifferencer::Equals(
      status.linux().namespaces().options(),
      asked.linux().security_context().namespace_options()));
  EXPECT_EQ(status.labels().at("app"), "web");
  EXPECT_EQ(status.annotations().at("example.org/note"),
            asked.annotations().at("example.org/note"));

  api::PodSandbox item;
  ToPodSandbox(Pod(), &item);
  EXPECT_TRUE(MessageDifferencer::Equals(item.metadata(), asked.metadata()));
  EXPECT_EQ(item.labels().at("app"), "web");
  EXPECT_EQ(item.annotations_size(), 1);
}

TEST(PodSandboxStatusTest, OnlyAReadyPodIsReady) {
  for (int i = 0; i < state::PodState_ARRAYSIZE; ++i) {
    state::PodRecord pod = Pod();
    pod.set_state(static_cast<state::PodState>(i));
    api::PodSandbox item;
    ToPodSandbox(pod, &item);
    EXPECT_EQ(item.state() == api::SANDBOX_READY, i == state::POD_READY);
    EXPECT_EQ(IsVisible(pod), i != state::POD_CREATING);
  }
}

TEST(ContainerStatusTest, GivesBackWhatWasAskedAndWhatHappened) {
  const api::ContainerConfig asked = ContainerRequest().config();
  api::ContainerStatus status;
  ToContainerStatus(Container(), &status);
  EXPECT_TRUE(MessageDifferencer::Equals(status.metadata(), asked.metadata()));
  EXPECT_TRUE(MessageDifferencer::Equals(status.image(), asked.image()));
  EXPECT_EQ(status.state(), api::CONTAINER_EXITED);
  EXPECT_EQ(status.created_at(), 1);
  EXPECT_EQ(status.started_at(), 2);
  EXPECT_EQ(status.finished_at(), 3);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
  EXPECT_EQ(status.message(), "memory.max of 64 MiB");
  EXPECT_EQ(status.image_id(), "sha256:1");
  EXPECT_EQ(status.image_ref(), "shop/web@sha256:2");
  ASSERT_EQ(status.mounts_size(), asked.mounts_size());
  for (int i = 0; i < asked.mounts_size(); ++i) {
    EXPECT_TRUE(MessageDifferencer::Equals(status.mounts(i), asked.mounts(i)));
  }
  EXPECT_EQ(status.log_path(), "/var/log/pods/x/server/2.log");
  EXPECT_TRUE(MessageDifferencer::Equals(status.resources().linux(),
                                         asked.linux().resources()));
  EXPECT_EQ(status.user().linux().uid(), 1000);
  EXPECT_EQ(status.user().linux().gid(), 1001);
  EXPECT_EQ(status.user().linux().supplemental_groups(0), 2000);
  EXPECT_EQ(status.stop_signal(), api::SIGNAL_SIGUSR1);
  EXPECT_EQ(status.labels_size(), 1);
  EXPECT_EQ(status.annotations().at("hash"), "1a2b");

  api::Container item;
  ToContainer(Container(), &item);
  EXPECT_EQ(item.pod_sandbox_id(), std::string(64, 'f'));
  EXPECT_EQ(item.image_id(), status.image_id());
  EXPECT_EQ(item.image_ref(), status.image_ref());
  EXPECT_TRUE(MessageDifferencer::Equals(item.image(), asked.image()));
}

TEST(ContainerStatusTest, StatesAndDefaultReasons) {
  struct Case {
    state::ContainerState state;
    int exit_code;
    api::ContainerState expected;
    std::string reason;
  };
  for (const Case& c : std::vector<Case>{
           {state::CONTAINER_CREATED, 0, api::CONTAINER_CREATED, ""},
           {state::CONTAINER_RUNNING, 0, api::CONTAINER_RUNNING, ""},
           {state::CONTAINER_EXITED, 0, api::CONTAINER_EXITED, "Completed"},
           {state::CONTAINER_EXITED, 1, api::CONTAINER_EXITED, "Error"},
           {state::CONTAINER_REMOVING, 0, api::CONTAINER_EXITED, "Completed"},
           {state::CONTAINER_STATE_UNSPECIFIED, 0, api::CONTAINER_UNKNOWN,
            ""}}) {
    state::ContainerRecord container = Container();
    container.set_state(c.state);
    container.set_exit_code(c.exit_code);
    container.clear_reason();
    container.clear_user();
    api::ContainerStatus status;
    ToContainerStatus(container, &status);
    EXPECT_EQ(status.state(), c.expected);
    EXPECT_EQ(status.reason(), c.reason);
    EXPECT_FALSE(status.has_user());
  }
}

TEST(PodFilterTest, EveryPartMustMatch) {
  const state::PodRecord pod = Pod();
  api::PodSandboxFilter filter;
  EXPECT_TRUE(Matches(filter, pod));
  filter.set_id("fff");
  EXPECT_TRUE(Matches(filter, pod));
  filter.mutable_state()->set_state(api::SANDBOX_READY);
  EXPECT_TRUE(Matches(filter, pod));
  (*filter.mutable_label_selector())["app"] = "web";
  EXPECT_TRUE(Matches(filter, pod));

  api::PodSandboxFilter other = filter;
  other.set_id("fa");
  EXPECT_FALSE(Matches(other, pod));
  other = filter;
  other.mutable_state()->set_state(api::SANDBOX_NOTREADY);
  EXPECT_FALSE(Matches(other, pod));
  other = filter;
  (*other.mutable_label_selector())["app"] = "db";
  EXPECT_FALSE(Matches(other, pod));
  other = filter;
  (*other.mutable_label_selector())["tier"] = "";
  EXPECT_FALSE(Matches(other, pod));
}

TEST(ContainerFilterTest, EveryPartMustMatch) {
  const state::ContainerRecord container = Container();
  api::ContainerFilter filter;
  EXPECT_TRUE(Matches(filter, container));
  filter.set_id("cc");
  filter.set_pod_sandbox_id("ff");
  filter.mutable_state()->set_state(api::CONTAINER_EXITED);
  (*filter.mutable_label_selector())["io.kubernetes.container.name"] = "server";
  EXPECT_TRUE(Matches(filter, container));

  api::ContainerFilter other = filter;
  other.set_pod_sandbox_id("0");
  EXPECT_FALSE(Matches(other, container));
  other = filter;
  // CREATED is 0: a filter for it is told from no filter.
  other.mutable_state()->set_state(api::CONTAINER_CREATED);
  EXPECT_FALSE(Matches(other, container));
  other = filter;
  other.set_id(std::string(65, 'c'));
  EXPECT_FALSE(Matches(other, container));
}

}  // namespace
}  // namespace pinion::cri
