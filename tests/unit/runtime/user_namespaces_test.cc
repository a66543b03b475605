#include "runtime/user_namespaces.h"

#include <gtest/gtest.h>

namespace pinion::runtime {
namespace {

void Add(IdMappings* mappings, uint32_t inside, uint32_t host,
         uint32_t length) {
  state::IdMapping* mapping = mappings->Add();
  mapping->set_container_id(inside);
  mapping->set_host_id(host);
  mapping->set_length(length);
}

TEST(UserNamespacesTest, MapsIdsToTheHost) {
  IdMappings mappings;
  Add(&mappings, 0, 1000, 10);
  Add(&mappings, 100, 4294967000, 5);
  EXPECT_EQ(IdMapText(mappings), "0 1000 10\n100 4294967000 5\n");
  EXPECT_EQ(HostId(mappings, 0), 1000u);
  EXPECT_EQ(HostId(mappings, 9), 1009u);
  EXPECT_EQ(HostId(mappings, 104), 4294967004u);
  EXPECT_EQ(HostId(mappings, 10), std::nullopt);
  EXPECT_EQ(HostId(mappings, 105), std::nullopt);
  EXPECT_EQ(HostId(mappings, -1), std::nullopt);
}

class ContainerUserNamespaceTest : public testing::Test {
 protected:
  ContainerUserNamespaceTest() {
    Map(pod_.mutable_namespaces()->mutable_user_namespace());
  }

  static void Map(state::UserNamespace* out) {
    Add(out->mutable_uids(), 0, 1000, 10);
    Add(out->mutable_gids(), 0, 2000, 10);
  }

  bool Fits() const { return CheckContainerUserNamespace(pod_, spec_).ok(); }

  state::PodSpec pod_;
  state::ContainerSpec spec_;
};

TEST_F(ContainerUserNamespaceTest, IsThePodsOrUnsaid) {
  EXPECT_TRUE(Fits());
  state::Namespaces* own = spec_.mutable_security()->mutable_namespaces();
  Map(own->mutable_user_namespace());
  EXPECT_TRUE(Fits());
  own->mutable_user_namespace()->mutable_gids(0)->set_length(11);
  EXPECT_FALSE(Fits());
  own->clear_user_namespace();
  own->set_pid(state::NAMESPACE_NODE);
  EXPECT_FALSE(Fits());
  own->clear_pid();
  Map(own->mutable_user_namespace());
  pod_.clear_namespaces();
  EXPECT_FALSE(Fits());
}

TEST_F(ContainerUserNamespaceTest, MountsAreMappedAsThePod) {
  state::Mount* mount = spec_.add_mounts();
  EXPECT_TRUE(Fits());
  Add(mount->mutable_uid_mappings(), 0, 1000, 10);
  EXPECT_FALSE(Fits());
  Add(mount->mutable_gid_mappings(), 0, 2000, 10);
  EXPECT_TRUE(Fits());
  pod_.clear_namespaces();
  EXPECT_FALSE(Fits());
}

TEST_F(ContainerUserNamespaceTest, DevicesAreBelowDev) {
  state::Device* device = spec_.add_devices();
  device->set_container_path("/dev/net/tun");
  EXPECT_TRUE(Fits());
  device->set_container_path("/opt/tun");
  EXPECT_FALSE(Fits());
  pod_.clear_namespaces();
  EXPECT_TRUE(Fits());
}

TEST(PodUserNamespaceTest, ExcludesTheHostsPidAndIpc) {
  state::PodSpec spec;
  spec.mutable_namespaces()->set_pid(state::NAMESPACE_NODE);
  EXPECT_TRUE(CheckPodUserNamespace(spec).ok());
  Add(spec.mutable_namespaces()->mutable_user_namespace()->mutable_uids(), 0, 1,
      1);
  EXPECT_FALSE(CheckPodUserNamespace(spec).ok());
  spec.mutable_namespaces()->set_pid(state::NAMESPACE_POD);
  EXPECT_TRUE(CheckPodUserNamespace(spec).ok());
  spec.mutable_namespaces()->set_ipc(state::NAMESPACE_NODE);
  EXPECT_FALSE(CheckPodUserNamespace(spec).ok());
}

}  // namespace
}  // namespace pinion::runtime
