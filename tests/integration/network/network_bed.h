// Nodes and pods for the tests of pod networks: each in a namespace of its
// own (tests/support/test_host.h). Needs root.

#ifndef PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_
#define PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/id.h"
#include "metrics/metrics.h"
#include "network/factory.h"
#include "tests/support/eventually.h"
#include "tests/support/test_host.h"

namespace pinion::network {

using testing_support::Eventually;

using testing_support::Connect;
using testing_support::Reaches;
using testing_support::TestHost;

struct Pod {
  std::string id = NewId();
  TestHost host;

  AttachRequest Request() {
    return {.pod_id = id,
            .netns_fd = host.netns_fd(),
            .netns_route_socket = host.route_socket()};
  }
};

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() {
    char name[] = "/dev/shm/pn-net-XXXXXX";
    dir_ = mkdtemp(name);
    options_.ipam_dir = dir_ + "/ipam";
  }
  ~NetworkTest() override {
    network_.reset();
    std::filesystem::remove_all(dir_);
  }

  // A network of the node's namespace, with options_.
  absl::Status Start() {
    absl::StatusOr<std::unique_ptr<PodNetwork>> made =
        absl::UnknownError("not run");
    network_.reset();
    node_.Run([&] { made = NewPodNetwork(options_, *registry_); });
    if (made.ok()) network_ = *std::move(made);
    return made.status();
  }

  // Of the only pool; "capacity", "in_use" or "cooling".
  int Addresses(const std::string& pool, const std::string& state) {
    const std::string text = registry_->Render();
    const std::string key =
        "pinion_ipam_addresses{pool=\"" + pool + "\",state=\"" + state + "\"} ";
    const size_t at = text.find(key);
    if (at == std::string::npos) return -1;
    return std::stoi(text.substr(at + key.size()));
  }

  std::string dir_;
  Options options_;
  TestHost node_;
  std::unique_ptr<metrics::Registry> registry_ = metrics::Registry::Create();
  std::unique_ptr<PodNetwork> network_;
};

}  // namespace pinion::network

#endif  // PINION_TESTS_INTEGRATION_NETWORK_NETWORK_BED_H_
