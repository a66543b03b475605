#include "runtime/network_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_pod_network.h"

namespace pinion::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// "network interface address,address", one a request.
std::vector<std::string> Parsed(const std::string& text) {
  const auto requests = ParseNetworks(text);
  EXPECT_TRUE(requests.ok()) << text << ": " << requests.status();
  std::vector<std::string> lines;
  if (!requests.ok()) return lines;
  for (const network::SecondaryRequest& one : *requests) {
    std::string line = absl::StrCat(one.network, " ", one.interface_name);
    for (const std::string& address : one.addresses) {
      absl::StrAppend(&line, " ", address);
    }
    lines.push_back(line);
  }
  return lines;
}

TEST(ParseNetworksTest, NamesInterfacesByTheirPlace) {
  EXPECT_THAT(Parsed(""), IsEmpty());
  EXPECT_THAT(Parsed("  "), IsEmpty());
  EXPECT_THAT(Parsed("storage"), ElementsAre("storage net1"));
  EXPECT_THAT(Parsed("storage, fronthaul@ran0,storage"),
              ElementsAre("storage net1", "fronthaul ran0", "storage net3"));
}

TEST(ParseNetworksTest, ReadsAddresses) {
  EXPECT_THAT(Parsed("storage=10.1.2.3"), ElementsAre("storage net1 10.1.2.3"));
  EXPECT_THAT(Parsed(" a@x=10.1.2.3+fd00::3 ,b=fd00::4"),
              ElementsAre("a x 10.1.2.3 fd00::3", "b net2 fd00::4"));
}

TEST(ParseNetworksTest, RefusesWhatHasNoMeaning) {
  for (const char* text :
       {",", "a,", ",a", "a,,b", "@x", "a@", "a=", "=10.1.2.3", "a@=10.1.2.3",
        "a@x=", "a=10.1.2.3+", "a=+fd00::3"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseNetworks(text).status())) << text;
  }
  std::string many = "a";
  for (size_t i = 1; i < kMaxNetworks; ++i) many += ",a";
  EXPECT_THAT(Parsed(many), SizeIs(kMaxNetworks));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseNetworks(many + ",a").status()));
}

state::PodSpec Pod(const std::string& networks) {
  state::PodSpec pod;
  (*pod.mutable_annotations())["network.pinion.dev/networks"] = networks;
  return pod;
}

TEST(NetworksOfTest, ReadsTheAnnotation) {
  EXPECT_THAT(*NetworksOf(state::PodSpec()), IsEmpty());
  EXPECT_THAT(*NetworksOf(Pod("storage")), SizeIs(1));
  EXPECT_THAT(NetworksOf(Pod("a@")).status().message(),
              HasSubstr("annotations[network.pinion.dev/networks]: \"a@\""));
}

TEST(NetworksOfTest, APodWithTheNodesNetworkHasNone) {
  state::PodSpec pod = Pod("storage");
  pod.mutable_namespaces()->set_network(state::NAMESPACE_NODE);
  EXPECT_TRUE(absl::IsInvalidArgument(NetworksOf(pod).status()));
  pod = Pod("");
  pod.mutable_namespaces()->set_network(state::NAMESPACE_NODE);
  EXPECT_TRUE(NetworksOf(pod).ok());
}

// A node with bridge as a further mode and the network "storage".
class Node : public testing_support::FakePodNetwork {
 public:
  absl::Status CheckMode(const std::string& mode) const override {
    return mode.empty() || mode == "bridge"
               ? absl::OkStatus()
               : absl::InvalidArgumentError("no such mode");
  }
  absl::Status CheckSecondary(
      const std::vector<network::SecondaryRequest>& requests) const override {
    for (const network::SecondaryRequest& one : requests) {
      if (one.network == "storage") continue;
      return absl::InvalidArgumentError("no such network");
    }
    return absl::OkStatus();
  }
};

state::PodSpec PodInMode(const std::string& mode) {
  state::PodSpec pod;
  (*pod.mutable_annotations())["network.pinion.dev/mode"] = mode;
  return pod;
}

TEST(CheckNetworkRequestTest, TheNodesNetworkDecides) {
  for (const state::PodSpec& pod :
       {state::PodSpec(), Pod("storage"), PodInMode("bridge"), PodInMode("")}) {
    const absl::Status status = CheckNetworkRequest(pod, Node());
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(NetworkModeOf(PodInMode("bridge")), "bridge");
  EXPECT_EQ(NetworkModeOf(state::PodSpec()), "");
  const absl::Status mode = CheckNetworkRequest(PodInMode("macvlan"), Node());
  EXPECT_TRUE(absl::IsInvalidArgument(mode)) << mode;
  EXPECT_THAT(std::string(mode.message()),
              HasSubstr("annotations[network.pinion.dev/mode]: no such mode"));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckNetworkRequest(Pod("ran"), Node())));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckNetworkRequest(Pod("a@"), Node())));
}

TEST(CheckNetworkRequestTest, AnnotationsThatPinionDoesNotKnowAreRefused) {
  for (const char* key : {"network.pinion.dev/network",
                          "network.pinion.dev/Mode", "network.pinion.dev/"}) {
    state::PodSpec pod;
    (*pod.mutable_annotations())[key] = "storage";
    const absl::Status status = CheckNetworkRequest(pod, Node());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat(key, " is unknown")));
  }
}

TEST(CheckNetworkRequestTest, APodWithTheNodesNetworkHasNoMode) {
  state::PodSpec pod = PodInMode("bridge");
  pod.mutable_namespaces()->set_network(state::NAMESPACE_NODE);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckNetworkRequest(pod, Node())));
}

}  // namespace
}  // namespace pinion::runtime
