#include "cri/translate_mounts.h"

#include <google/protobuf/util/message_differencer.h>

#include "tests/unit/cri/translate_cases.h"

namespace pinion::cri {
namespace {

absl::StatusOr<state::Mount> Translate(const api::Mount& in) {
  return ToMount(Field("mount"), in);
}

absl::StatusOr<state::Device> TranslateDevice(const api::Device& in) {
  return ToDevice(Field("device"), in);
}

api::Mount Valid() {
  api::Mount mount;
  mount.set_container_path("/data");
  mount.set_host_path("/srv/data");
  mount.set_readonly(true);
  mount.set_recursive_read_only(true);
  mount.set_selinux_relabel(true);
  mount.add_uidmappings()->set_host_id(1000);
  mount.mutable_uidmappings(0)->set_length(10);
  mount.add_gidmappings()->set_container_id(5);
  mount.mutable_gidmappings(0)->set_length(11);
  return mount;
}

TEST(ToMountTest, RoundTripKeepsEveryField) {
  for (const auto propagation :
       {api::PROPAGATION_PRIVATE, api::PROPAGATION_HOST_TO_CONTAINER,
        api::PROPAGATION_BIDIRECTIONAL}) {
    api::Mount mount = Valid();
    mount.set_propagation(propagation);
    mount.set_recursive_read_only(propagation == api::PROPAGATION_PRIVATE);
    const auto out = Translate(mount);
    ASSERT_TRUE(out.ok()) << out.status();
    api::Mount back;
    FromMount(*out, &back);
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(back, mount));
  }
}

TEST(ToMountTest, RefusesBadPathsAndModes) {
  ExpectRefused<api::Mount>(
      Valid(), Translate,
      {
          {"mount.container_path \"data\"",
           [](auto& m) { m.set_container_path("data"); }},
          {"mount.container_path \"\"",
           [](auto& m) { m.clear_container_path(); }},
          {"must not be the root", [](auto& m) { m.set_container_path("/"); }},
          {"must not be the root",
           [](auto& m) { m.set_container_path("//./.."); }},
          {"must not contain \"..\"",
           [](auto& m) { m.set_container_path("/x/.."); }},
          {"mount.host_path \"\"", [](auto& m) { m.clear_host_path(); }},
          {"mount.host_path \"srv\"", [](auto& m) { m.set_host_path("srv"); }},
          {"mount.propagation 5",
           [](auto& m) {
             m.clear_recursive_read_only();
             m.set_propagation(static_cast<api::MountPropagation>(5));
           }},
          {"RROUnsupported: mount.recursive_read_only",
           [](auto& m) { m.clear_readonly(); }},
          {"RROUnsupported: mount.recursive_read_only",
           [](auto& m) {
             m.set_propagation(api::PROPAGATION_HOST_TO_CONTAINER);
           }},
          {"ImageVolumeMountFailed: mount.image.image: must be set",
           [](auto& m) { m.set_image_sub_path("etc"); }},
          {"ImageVolumeMountFailed: mount.host_path",
           [](auto& m) { m.mutable_image()->set_image("a"); }},
          {"mount.gidMappings[1].length 0",
           [](auto& m) { m.add_gidmappings(); }},
          {"mount.uidMappings[1]: overlaps",
           [](auto& m) {
             m.clear_uidmappings();
             m.add_uidmappings()->set_length(10);
             m.add_uidmappings()->set_length(1);
           }},
          {"mount.uidMappings[0].length 2",
           [](auto& m) {
             m.clear_uidmappings();
             m.add_uidmappings()->set_host_id(0xfffffffe);
             m.mutable_uidmappings(0)->set_length(2);
           }},
      });
}

TEST(ToMountTest, ImagesRoundTrip) {
  api::Mount mount;
  mount.set_container_path("/data");
  mount.mutable_image()->set_image("sha256:1234");
  mount.mutable_image()->set_user_specified_image("example/data:1");
  (*mount.mutable_image()->mutable_annotations())["a"] = "b";
  mount.set_image_sub_path("etc/ssl");
  const auto out = Translate(mount);
  ASSERT_TRUE(out.ok()) << out.status();
  api::Mount back;
  FromMount(*out, &back);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(back, mount));
  for (const std::string bad : {"/etc", "../etc", "a/../../b"}) {
    mount.set_image_sub_path(bad);
    EXPECT_EQ(Translate(mount).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(ToDeviceTest, PermissionsAreASubsetOfRwm) {
  api::Device valid;
  valid.set_container_path("/dev/a");
  valid.set_host_path("/dev/b");
  valid.set_permissions("rwm");
  std::vector<RefusedCase<api::Device>> cases = {
      {"device.container_path", [](auto& d) { d.set_container_path("dev/a"); }},
      {"device.host_path", [](auto& d) { d.clear_host_path(); }},
  };
  for (const std::string bad : {"", "x", "rr", "rwmr", "RW", "r w"}) {
    cases.push_back(
        {"device.permissions", [bad](auto& d) { d.set_permissions(bad); }});
  }
  ExpectRefused<api::Device>(valid, TranslateDevice, cases);
  for (const std::string good : {"r", "w", "m", "mrw", "wr"}) {
    api::Device device = valid;
    device.set_permissions(good);
    EXPECT_EQ(TranslateDevice(device)->permissions(), good);
  }
}

}  // namespace
}  // namespace pinion::cri
