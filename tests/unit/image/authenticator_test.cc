#include "image/authenticator.h"

#include <gtest/gtest.h>

#include "image/reference.h"

namespace pinion::image {
namespace {

Endpoint At(const std::string& url, bool origin) {
  Endpoint endpoint;
  endpoint.base = *ParseUrl(url);
  endpoint.origin = origin;
  return endpoint;
}

bool Apply(const std::string& server_address, const Endpoint& endpoint,
           const std::string& domain) {
  Credentials credentials;
  credentials.username = "u";
  credentials.server_address = server_address;
  return CredentialsApply(credentials, endpoint, domain);
}

TEST(CredentialsApplyTest, WithoutAnAddressTheyAreTheRegistrysOwn) {
  EXPECT_TRUE(Apply("", At("https://r.example/v2", true), "r.example"));
  EXPECT_FALSE(Apply("", At("https://mirror.example/v2", false), "r.example"));
}

TEST(CredentialsApplyTest, AnAddressNamesWhoGetsThem) {
  const Endpoint origin = At("https://r.example:5000/v2", true);
  const Endpoint mirror = At("https://mirror.example/v2", false);
  EXPECT_TRUE(Apply("r.example:5000", origin, "r.example:5000"));
  EXPECT_TRUE(Apply("https://r.example:5000/v1/", origin, "r.example:5000"));
  EXPECT_FALSE(Apply("other.example", origin, "r.example:5000"));
  EXPECT_FALSE(Apply("r.example", origin, "r.example:5000"));
  EXPECT_FALSE(Apply("r.example:5000", mirror, "r.example:5000"));
  EXPECT_TRUE(Apply("mirror.example", mirror, "r.example:5000"));
  EXPECT_FALSE(Apply("not a host", origin, "r.example:5000"));
}

TEST(CredentialsApplyTest, DockersRegistryHasSeveralNames) {
  const Endpoint origin =
      At(std::string("https://") + kDockerEndpoint + "/v2", true);
  for (const std::string& name :
       {std::string(kDockerDomain), std::string(kDockerEndpoint),
        std::string("https://index.") + kDockerDomain + "/v1/"}) {
    EXPECT_TRUE(Apply(name, origin, kDockerDomain)) << name;
  }
  EXPECT_FALSE(
      Apply(std::string("evil-") + kDockerDomain, origin, kDockerDomain));
}

}  // namespace
}  // namespace pinion::image
