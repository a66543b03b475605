#include "runtime/plan/cdi_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kYaml[] = R"(
cdiVersion: 0.6.0
kind: vendor.com/gpu
annotations: {a: b}
containerEdits:
  env:
  - VENDOR_LIBS=/opt/vendor
  mounts:
  - hostPath: /opt/vendor
    containerPath: /opt/vendor
    options: [ro, nosuid, nodev, rbind, rslave]
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/vendor0
      hostPath: /dev/null
      permissions: rw
      fileMode: 0640
      uid: 5
      gid: 6
- name: 1
  containerEdits:
    additionalGids: [44]
    deviceNodes:
    - {path: /dev/vendor1, type: c, major: 195, minor: 1}
)";

TEST(CdiSpecTest, ReadsYaml) {
  const auto spec = ParseCdiSpec(kYaml, CdiFormat::kYaml);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kind, "vendor.com/gpu");
  EXPECT_THAT(spec->edits.env, ElementsAre("VENDOR_LIBS=/opt/vendor"));
  ASSERT_EQ(spec->edits.mounts.size(), 1U);
  const CdiMount& mount = spec->edits.mounts[0];
  EXPECT_TRUE(mount.readonly && mount.nosuid && mount.nodev);
  EXPECT_FALSE(mount.noexec);
  EXPECT_EQ(mount.propagation, CdiMount::Propagation::kSlave);
  ASSERT_EQ(spec->devices.size(), 2U);
  EXPECT_EQ(spec->devices[0].name, "0");
  const CdiNode& first = spec->devices[0].edits.nodes.at(0);
  EXPECT_EQ(first.path, "/dev/vendor0");
  EXPECT_EQ(first.host_path, "/dev/null");
  EXPECT_EQ(first.permissions, "rw");
  EXPECT_EQ(first.mode, 0640U);
  EXPECT_EQ(first.uid, 5U);
  EXPECT_EQ(first.gid, 6U);
  EXPECT_FALSE(first.major.has_value());
  EXPECT_EQ(spec->devices[1].name, "1");
  EXPECT_THAT(spec->devices[1].edits.gids, ElementsAre(44U));
  const CdiNode& second = spec->devices[1].edits.nodes.at(0);
  EXPECT_EQ(second.type, 'c');
  EXPECT_EQ(second.major, 195U);
  EXPECT_EQ(second.minor, 1U);
  EXPECT_EQ(second.permissions, "rwm");
  EXPECT_THAT(spec->edits.unsupported, IsEmpty());
}

TEST(CdiSpecTest, ReadsJson) {
  const auto spec = ParseCdiSpec(R"({
      "cdiVersion": "1.0.0", "kind": "a.b/c",
      "devices": [{"name": "all", "containerEdits": {
        "deviceNodes": [{"path": "/dev/x", "fileMode": 438}]}}]})",
                                 CdiFormat::kJson);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->devices.at(0).edits.nodes.at(0).mode, 0666U);
}

TEST(CdiSpecTest, WhatPinionDoesNotDoIsNamed) {
  const auto spec = ParseCdiSpec(R"(
cdiVersion: 1.1.0
kind: vendor.com/gpu
devices:
- name: a
  containerEdits:
    hooks:
    - hookName: createContainer
      path: /usr/bin/vendor-ctk
      args: [vendor-ctk, hook]
      timeout: 5
    mounts:
    - {hostPath: /a, containerPath: /b, type: tmpfs}
    - {hostPath: /a, containerPath: /c, options: [relatime]}
    netDevices: [{hostInterfaceName: ib0, name: ib0}]
    intelRdt: {closID: x}
)",
                                 CdiFormat::kYaml);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(
      spec->devices.at(0).edits.unsupported,
      ElementsAre("mount /b of type tmpfs", "mount /c with option relatime",
                  "hook createContainer (/usr/bin/vendor-ctk)",
                  "network device ib0", "intelRdt"));
}

TEST(CdiSpecTest, MalformedFilesAreRefusedWithAReason) {
  const auto with = [](const std::string& edits) {
    return "{\"cdiVersion\": \"0.5.0\", \"kind\": \"a/b\", \"devices\": "
           "[{\"name\": \"d\", \"containerEdits\": {" +
           edits + "}}]}";
  };
  const std::pair<std::string, const char*> cases[] = {
      {"{", "malformed JSON"},
      {"[]", "no object"},
      {"{}", "cdiVersion"},
      {R"({"cdiVersion": "2.0.0", "kind": "a/b"})", "2.0.0"},
      {R"({"cdiVersion": "0.5", "kind": "a/b"})", "0.5"},
      {R"({"cdiVersion": "0.5.0", "kind": "a"})", "vendor/class"},
      {R"({"cdiVersion": "0.5.0", "kind": "a/b", "cdiDevices": []})",
       "unknown field cdiDevices"},
      {R"({"cdiVersion": "0.5.0", "kind": "a/b", "devices": {}})", "no list"},
      {R"({"cdiVersion": "0.5.0", "kind": "a/b",
           "devices": [{"name": "x"}, {"name": "x"}]})",
       "twice"},
      {R"({"cdiVersion": "0.5.0", "kind": "a/b", "devices": [{"name": "-"}]})",
       "device name"},
      {with(R"("env": ["=x"])"), "KEY=VALUE"},
      {with(R"("env": [{}])"), "no string"},
      {with(R"("deviceNodes": [{"path": "dev/x"}])"), "absolute"},
      {with(R"("deviceNodes": [{"path": "/dev/../x"}])"), "absolute"},
      {with(R"("deviceNodes": [{"path": "/dev/x", "type": "p"}])"), "\"p\""},
      {with(R"("deviceNodes": [{"path": "/x", "permissions": "rx"}])"), "rx"},
      {with(R"("deviceNodes": [{"path": "/x", "uid": -1}])"), "32 bits"},
      {with(R"("deviceNodes": [{"path": "/x", "extra": 1}])"), "extra"},
      {with(R"("mounts": [{"hostPath": "/x"}])"), "containerPath"},
      {with(R"("mounts": [{"hostPath": "/x", "containerPath": "/./"}])"),
       "containerPath is the root"},
      {with(R"("additionalGids": ["a"])"), "group id"},
      {with(R"("newThing": [])"), "newThing"},
  };
  for (const auto& [text, message] : cases) {
    const absl::Status status = ParseCdiSpec(text, CdiFormat::kJson).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
  }
}

TEST(CdiSpecTest, Names) {
  for (const char* name :
       {"vendor.com/class=dev", "v/c=0", "a-b.c_d/e.f=g:h-i_j.k"}) {
    EXPECT_TRUE(IsCdiName(name)) << name;
  }
  for (const char* name :
       {"", "a", "a/b", "a/b=", "a=b", "/b=c", "a/=c", "a/b/c=d", "0a/b=c",
        "a/b=c=d", "a/b=-", "a./b=c", "a/b=c,d"}) {
    EXPECT_FALSE(IsCdiName(name)) << name;
  }
}

}  // namespace
}  // namespace pinion::plan
