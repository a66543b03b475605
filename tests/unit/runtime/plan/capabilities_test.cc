#include "runtime/plan/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using testing::HasSubstr;

constexpr uint64_t kAll = (uint64_t{1} << 41) - 1;
constexpr uint64_t kDefault = 0xa80425fb;
constexpr uint64_t kNetAdmin = 1u << 12;
constexpr uint64_t kChown = 1u << 0;

TEST(CapabilitiesTest, NamesAreReadInEverySpelling) {
  for (const char* name : {"NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"}) {
    EXPECT_EQ(ParseCapability(name).value(), 12) << name;
  }
  EXPECT_EQ(ParseCapability("CHECKPOINT_RESTORE").value(), 40);
  for (const char* name : {"", "CAP_", "CAP_CAP_KILL", "ALL", "12"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCapability(name).status()))
        << name;
  }
  EXPECT_EQ(CapabilityName(12), "CAP_NET_ADMIN");
  EXPECT_EQ(CapabilityName(63), "CAP_63");
}

TEST(CapabilitiesTest, DefaultIsTheUsualFourteen) {
  const auto caps = CompileCapabilities({}, kAll, 0).value();
  EXPECT_EQ(caps.bounding, kDefault);
  EXPECT_EQ(caps.effective, kDefault);
  EXPECT_EQ(caps.permitted, kDefault);
  EXPECT_EQ(caps.ambient, 0u);
}

TEST(CapabilitiesTest, AddAndDropByName) {
  CapabilityRequest request;
  request.add = {"NET_ADMIN"};
  request.drop = {"CAP_CHOWN"};
  EXPECT_EQ(CompileCapabilities(request, kAll, 0)->bounding,
            (kDefault | kNetAdmin) & ~kChown);
  request.drop = {"NET_ADMIN"};
  EXPECT_EQ(CompileCapabilities(request, kAll, 0)->bounding, kDefault);
}

TEST(CapabilitiesTest, AllComesBeforeNames) {
  CapabilityRequest request;
  request.drop = {"ALL"};
  request.add = {"NET_ADMIN"};
  EXPECT_EQ(CompileCapabilities(request, kAll, 0)->bounding, kNetAdmin);
  request.drop = {"CHOWN"};
  request.add = {"all"};
  EXPECT_EQ(CompileCapabilities(request, kAll, 0)->bounding, kAll & ~kChown);
}

TEST(CapabilitiesTest, PrivilegedHasAllTheNodeHas) {
  CapabilityRequest request;
  request.privileged = true;
  request.drop = {"ALL"};
  EXPECT_EQ(CompileCapabilities(request, kAll & ~kNetAdmin, 0)->bounding,
            kAll & ~kNetAdmin);
}

TEST(CapabilitiesTest, OrdinaryUserIsLeftTheAmbientOnesAlone) {
  CapabilityRequest request;
  auto caps = CompileCapabilities(request, kAll, 1000).value();
  EXPECT_EQ(caps.bounding, kDefault);
  EXPECT_EQ(caps.permitted, 0u);
  request.add = request.ambient = {"NET_ADMIN"};
  caps = CompileCapabilities(request, kAll, 1000).value();
  EXPECT_EQ(caps.ambient, kNetAdmin);
  EXPECT_EQ(caps.permitted, kNetAdmin);
  EXPECT_EQ(caps.effective, kNetAdmin);
}

TEST(CapabilitiesTest, AmbientMustBeAmongTheContainers) {
  CapabilityRequest request;
  request.ambient = {"NET_ADMIN"};
  EXPECT_TRUE(absl::IsInvalidArgument(
      CompileCapabilities(request, kAll, 1000).status()));
}

TEST(CapabilitiesTest, WhatTheNodeLacksIsRefusedByNameLeftOutByDefault) {
  CapabilityRequest request;
  EXPECT_EQ(CompileCapabilities(request, kAll & ~kChown, 0)->bounding,
            kDefault & ~kChown);
  request.add = {"NET_ADMIN"};
  const absl::Status status =
      CompileCapabilities(request, kAll & ~kNetAdmin, 0).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("CAP_NET_ADMIN"));
}

TEST(CapabilitiesTest, UnknownNameIsNamed) {
  CapabilityRequest request;
  request.drop = {"FLY"};
  EXPECT_THAT(CompileCapabilities(request, kAll, 0).status().message(),
              HasSubstr("\"FLY\""));
}

TEST(CapabilitiesTest, AvailableAreThoseOfTheBoundingSet) {
  // Every process that runs tests has CHOWN in it, and none has bit 63.
  EXPECT_EQ(AvailableCapabilities() & kChown, kChown);
  EXPECT_EQ(AvailableCapabilities() >> 63, 0u);
}

}  // namespace
}  // namespace pinion::plan
