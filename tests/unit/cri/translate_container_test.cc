#include "cri/translate_container.h"

#include <csignal>

#include "tests/unit/cri/requests.h"
#include "tests/unit/cri/translate_cases.h"

namespace pinion::cri {
namespace {

using Request = api::CreateContainerRequest;

TEST(TranslateContainerTest, CarriesEveryField) {
  Request request = ContainerRequest();
  request.mutable_config()->set_stdin(true);
  request.mutable_config()->set_stdin_once(true);
  request.mutable_config()->set_tty(true);
  request.mutable_config()->mutable_image()->set_runtime_handler("fast");
  const auto spec = ToContainerSpec(request);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name(), "server");
  EXPECT_EQ(spec->attempt(), 2u);
  EXPECT_EQ(spec->image(), request.config().image().image());
  EXPECT_EQ(spec->user_specified_image(), "shop/web:1");
  EXPECT_EQ(spec->image_annotations().at("a"), "b");
  EXPECT_EQ(spec->image_runtime_handler(), "fast");
  EXPECT_EQ(spec->command(0), "/bin/server");
  EXPECT_EQ(spec->args(0), "--port=8080");
  EXPECT_EQ(spec->working_dir(), "/srv");
  EXPECT_EQ(spec->envs(0).key(), "TOKEN");
  EXPECT_EQ(spec->envs(0).value(), "s3cret\xFF");  // bytes, not UTF-8
  EXPECT_EQ(spec->mounts_size(), 2);
  EXPECT_EQ(spec->devices(0).permissions(), "mrw");
  EXPECT_EQ(spec->labels().at("io.kubernetes.container.name"), "server");
  EXPECT_EQ(spec->annotations().at("hash"), "1a2b");
  EXPECT_EQ(spec->log_path(), "server/2.log");
  EXPECT_TRUE(spec->stdin());
  EXPECT_TRUE(spec->stdin_once());
  EXPECT_TRUE(spec->tty());
  EXPECT_EQ(spec->resources().memory_limit_bytes(), 64 << 20);
  EXPECT_EQ(spec->security().run_as_user(), 1000);
  EXPECT_EQ(spec->stop_signal(), SIGUSR1);
}

TEST(TranslateContainerTest, RefusesBadIdentityAndImage) {
  ExpectRefused<Request>(
      ContainerRequest(), ToContainerSpec,
      {
          {"config: must be set", [](auto& r) { r.clear_config(); }},
          {"config.metadata: must be set",
           [](auto& r) { r.mutable_config()->clear_metadata(); }},
          {"config.metadata.name: must not be empty",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->clear_name();
           }},
          {"config.metadata.name \"a/b\"",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->set_name("a/b");
           }},
          {"config.image.image: must not be empty",
           [](auto& r) { r.mutable_config()->clear_image(); }},
          {"config.image.image",
           [](auto& r) {
             r.mutable_config()->mutable_image()->set_image("a\nb");
           }},
          {"config.image.image",
           [](auto& r) {
             r.mutable_config()->mutable_image()->set_image(
                 std::string(5000, 'a'));
           }},
          {"config.windows",
           [](auto& r) { r.mutable_config()->mutable_windows(); }},
          {"config.stop_signal 99",
           [](auto& r) {
             r.mutable_config()->set_stop_signal(static_cast<api::Signal>(99));
           }},
      });
}

TEST(TranslateContainerTest, RefusesWhatExecCouldNotTake) {
  const std::string nul("a\0b", 3);
  ExpectRefused<Request>(
      ContainerRequest(), ToContainerSpec,
      {
          {"config.command[0]",
           [&](auto& r) { r.mutable_config()->set_command(0, nul); }},
          {"config.args[1]",
           [&](auto& r) { r.mutable_config()->add_args(nul); }},
          {"config.args[1]",
           [](auto& r) {
             r.mutable_config()->add_args(std::string(128 << 10, 'x'));
           }},
          {"config.working_dir \"srv\"",
           [](auto& r) { r.mutable_config()->set_working_dir("srv"); }},
          {"config.envs[1].key: must not be empty",
           [](auto& r) { r.mutable_config()->add_envs(); }},
          {"config.envs[0].key \"A=B\"",
           [](auto& r) {
             r.mutable_config()->mutable_envs(0)->set_key("A=B");
           }},
          {"config.envs[0].value",
           [&](auto& r) {
             r.mutable_config()->mutable_envs(0)->set_value(nul);
           }},
          {"config.envs[0].value",
           [](auto& r) {
             r.mutable_config()->mutable_envs(0)->set_value(
                 std::string(128 << 10, 'x'));
           }},
      });
}

TEST(TranslateContainerTest, ARefusedEnvironmentDoesNotShowItsValue) {
  Request request = ContainerRequest();
  request.mutable_config()->mutable_envs(0)->set_value(
      std::string("hunter2\0", 8));
  const absl::Status status = ToContainerSpec(request).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              testing::Not(testing::HasSubstr("hunter2")));
}

TEST(TranslateContainerTest, TheLongestArgumentIsTheKernels) {
  Request request = ContainerRequest();
  request.mutable_config()->add_args(std::string((128 << 10) - 1, 'x'));
  EXPECT_TRUE(ToContainerSpec(request).ok());
}

TEST(TranslateContainerTest, RefusesLogPathsThatLeaveThePodsDirectory) {
  std::vector<RefusedCase<Request>> cases;
  for (const std::string path : {"/var/log/x", "../x", "a/../../x", ".."}) {
    cases.push_back({"config.log_path", [path](auto& r) {
                       r.mutable_config()->set_log_path(path);
                     }});
  }
  ExpectRefused<Request>(ContainerRequest(), ToContainerSpec, cases);
}

TEST(TranslateContainerTest, CdiDevicesComeFromTheFieldAndFromAnnotations) {
  Request request = ContainerRequest();
  api::ContainerConfig* config = request.mutable_config();
  config->add_cdi_devices()->set_name("v.com/c=2");
  config->add_cdi_devices()->set_name("v.com/c=1");
  (*config->mutable_annotations())["cdi.k8s.io/z"] = "v.com/c=9";
  (*config->mutable_annotations())["cdi.k8s.io/a"] = "v.com/c=1,v.com/c=4";
  (*config->mutable_annotations())["cdi.example.org/a"] = "v.com/c=7";
  const auto spec = ToContainerSpec(request);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(
      spec->cdi_devices(),
      testing::ElementsAre("v.com/c=2", "v.com/c=1", "v.com/c=4", "v.com/c=9"));
  ExpectRefused<Request>(
      ContainerRequest(), ToContainerSpec,
      {{"config.CDI_devices[0].name",
        [](auto& r) { r.mutable_config()->add_cdi_devices(); }},
       {"config.annotations.cdi.k8s.io/a", [](auto& r) {
          (*r.mutable_config()->mutable_annotations())["cdi.k8s.io/a"] = "b,";
        }}});
}

TEST(CheckUserNamespaceModeTest, TheNodesIsNotToBeHadInAPodWithItsOwn) {
  api::ContainerConfig config = ContainerRequest().config();
  state::PodSpec pod;
  pod.mutable_namespaces()->mutable_user_namespace();
  EXPECT_TRUE(CheckUserNamespaceMode(config, pod).ok());
  api::UserNamespace* asked = config.mutable_linux()
                                  ->mutable_security_context()
                                  ->mutable_namespace_options()
                                  ->mutable_userns_options();
  EXPECT_TRUE(CheckUserNamespaceMode(config, pod).ok());
  asked->set_mode(api::NODE);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckUserNamespaceMode(config, pod)));
  EXPECT_TRUE(CheckUserNamespaceMode(config, state::PodSpec()).ok());
}

TEST(CheckSelinuxTest, LabelsAreRefusedWhereTheyWouldCount) {
  api::ContainerConfig config = ContainerRequest().config();
  EXPECT_TRUE(CheckSelinux(config, true).ok());
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_selinux_options()
      ->set_level("s0");
  EXPECT_TRUE(absl::IsUnimplemented(CheckSelinux(config, true)));
  EXPECT_TRUE(CheckSelinux(config, false).ok());
}

}  // namespace
}  // namespace pinion::cri
