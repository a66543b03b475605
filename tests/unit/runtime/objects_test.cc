#include "runtime/objects.h"

#include <gtest/gtest.h>

namespace pinion::runtime {
namespace {

PodPtr MakePod(const std::string& id, const std::string& name) {
  state::PodRecord record;
  record.set_id(id);
  record.mutable_spec()->set_name(name);
  return std::make_shared<Pod>(std::move(record));
}

ContainerPtr MakeContainer(const PodPtr& pod, const std::string& id,
                           const std::string& name) {
  state::ContainerRecord record;
  record.set_id(id);
  record.set_pod_id(pod->id);
  record.mutable_spec()->set_name(name);
  return std::make_shared<Container>(pod, std::move(record));
}

TEST(ObjectTableTest, FindsByIdAndByUnambiguousPrefix) {
  ObjectTable table;
  table.Add(MakePod("aa11", "one"));
  table.Add(MakePod("aa22", "two"));
  EXPECT_EQ((*table.FindPod("aa11"))->id, "aa11");
  EXPECT_EQ((*table.FindPod("aa2"))->id, "aa22");
  EXPECT_EQ(table.FindPod("aa").status().code(),
            absl::StatusCode::kInvalidArgument);
  for (const char* id : {"", "b", "aa111", "../aa11", "AA11"}) {
    EXPECT_TRUE(absl::IsNotFound(table.FindPod(id).status())) << id;
  }
}

TEST(ObjectTableTest, AnExactIdWinsOverALongerOne) {
  ObjectTable table;
  table.Add(MakePod("aa", "one"));
  table.Add(MakePod("aab", "two"));
  EXPECT_EQ((*table.FindPod("aa"))->id, "aa");
}

TEST(ObjectTableTest, IdentitiesAreNotConfusedByTheirParts) {
  state::PodSpec a;
  a.set_name("ab");
  a.set_namespace_("c");
  state::PodSpec b;
  b.set_name("a");
  b.set_namespace_("bc");
  EXPECT_NE(IdentityOf(a), IdentityOf(b));
  b = a;
  b.set_attempt(1);
  EXPECT_NE(IdentityOf(a), IdentityOf(b));
}

TEST(ObjectTableTest, RemovingAPodForgetsItsIdentityAndContainers) {
  ObjectTable table;
  const PodPtr pod = MakePod("aa", "one");
  const std::string identity = IdentityOf(pod->record.Get()->spec());
  table.Add(pod);
  const ContainerPtr container = MakeContainer(pod, "cc", "app");
  table.Add(container);
  EXPECT_EQ(table.FindPodByIdentity(identity), pod);
  EXPECT_EQ(table.ContainersOf("aa").size(), 1U);
  EXPECT_EQ(table.FindContainerByIdentity(
                IdentityOf("aa", container->record.Get()->spec())),
            container);
  table.RemoveContainer("cc");
  EXPECT_TRUE(table.ContainersOf("aa").empty());
  table.RemovePod("aa");
  EXPECT_EQ(table.FindPodByIdentity(identity), nullptr);
  EXPECT_TRUE(table.Pods().empty());
}

}  // namespace
}  // namespace pinion::runtime
