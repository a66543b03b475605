// Bad input gets the right code, and nothing is left of it.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "tests/support/daemon_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using absl::StatusCode;

// One daemon for all: bad input must not harm it.
class InputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    bed_ = new DaemonBed();
    config_ = new cri::PodSandboxConfig(bed_->PodConfig("input"));
    pod_ = new std::string(bed_->RunPod(*config_));
  }
  static void TearDownTestSuite() {
    delete bed_;
    delete config_;
    delete pod_;
  }

  static size_t Count(const std::string& dir) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(dir)) {
      ++count;
    }
    return count;
  }

  static absl::Status RunPodWith(
      const std::function<void(cri::PodSandboxConfig&)>& change,
      const std::string& handler = "") {
    cri::RunPodSandboxRequest request;
    *request.mutable_config() = bed_->PodConfig("bad");
    change(*request.mutable_config());
    request.set_runtime_handler(handler);
    cri::RunPodSandboxResponse response;
    const size_t before = Count(bed_->state() + "/pods");
    const absl::Status status = bed_->client().Call(request, &response);
    EXPECT_EQ(Count(bed_->state() + "/pods"), before) << "left behind";
    return status;
  }

  static absl::Status CreateWith(
      const std::function<void(cri::ContainerConfig&)>& change,
      const std::string& pod) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() = bed_->ContainerConfig("bad", {"sleep", "9"});
    change(*request.mutable_config());
    cri::CreateContainerResponse response;
    const size_t before = Count(bed_->root() + "/containers");
    const absl::Status status = bed_->client().Call(request, &response);
    EXPECT_EQ(Count(bed_->root() + "/containers"), before) << "left behind";
    return status;
  }
  static absl::Status CreateWith(
      const std::function<void(cri::ContainerConfig&)>& change) {
    return CreateWith(change, *pod_);
  }

  static DaemonBed* bed_;
  static cri::PodSandboxConfig* config_;
  static std::string* pod_;
};

DaemonBed* InputTest::bed_ = nullptr;
cri::PodSandboxConfig* InputTest::config_ = nullptr;
std::string* InputTest::pod_ = nullptr;

TEST_F(InputTest, SandboxRequests) {
  const auto refused = [](const std::string& what, const absl::Status& status,
                          StatusCode code = StatusCode::kInvalidArgument) {
    EXPECT_EQ(status.code(), code) << what << ": " << status;
  };
  refused("no name",
          RunPodWith([](auto& c) { c.mutable_metadata()->clear_name(); }));
  refused("oversize name", RunPodWith([](auto& c) {
            c.mutable_metadata()->set_name(std::string(5000, 'a'));
          }));
  refused("name with a slash",
          RunPodWith([](auto& c) { c.mutable_metadata()->set_name("../up"); }));
  refused("unknown handler", RunPodWith([](auto&) {}, "kata"));
  refused("cgroup_parent", RunPodWith([](auto& c) {
            c.mutable_linux()->set_cgroup_parent("/../../etc");
          }));
  refused("unsafe sysctl", RunPodWith([](auto& c) {
            (*c.mutable_linux()->mutable_sysctls())["kernel.panic"] = "1";
          }));
  EXPECT_EQ(
      RunPodWith([](auto& c) {
        (*c.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] =
            "banana";
      }).message(),
      "set up the sandbox: write sysctl kernel.shm_rmid_forced = "
      "\"banana\": EINVAL");
  refused("smuggled sysctl", RunPodWith([](auto& c) {
            (*c.mutable_linux()->mutable_sysctls())["net/../kernel/panic"] =
                "1";
          }));
  refused("relative log directory",
          RunPodWith([](auto& c) { c.set_log_directory("logs/../../etc"); }));
  refused("hostname",
          RunPodWith([](auto& c) { c.set_hostname(std::string(200, 'h')); }));
}

TEST_F(InputTest, ContainerRequests) {
  const auto refused = [](const std::string& what, const absl::Status& status,
                          StatusCode code = StatusCode::kInvalidArgument) {
    EXPECT_EQ(status.code(), code) << what << ": " << status;
    return std::string(status.message());
  };
  refused("unknown pod", CreateWith([](auto&) {}, std::string(64, 'f')),
          StatusCode::kNotFound);
  refused("id with ..", CreateWith([](auto&) {}, "../../etc"),
          StatusCode::kInvalidArgument);
  refused("missing image", CreateWith([](auto& c) {
            c.mutable_image()->set_image("registry.k8s.io/none:1");
          }),
          StatusCode::kNotFound);
  EXPECT_NE(refused("absent mount source", CreateWith([](auto& c) {
                      auto* mount = c.add_mounts();
                      mount->set_host_path("/absent/source");
                      mount->set_container_path("/x");
                    }))
                .find("/absent/source"),
            std::string::npos);
  refused("relative mount target", CreateWith([](auto& c) {
            auto* mount = c.add_mounts();
            mount->set_host_path("/tmp");
            mount->set_container_path("x");
          }));
  EXPECT_NE(
      refused(
          "unknown user", CreateWith([](auto& c) {
            c.mutable_linux()->mutable_security_context()->set_run_as_username(
                "nosuchuser");
          }))
          .find("nosuchuser"),
      std::string::npos);
  refused("uid out of range", CreateWith([](auto& c) {
            c.mutable_linux()
                ->mutable_security_context()
                ->mutable_run_as_user()
                ->set_value(int64_t{1} << 31);
          }));
  refused("log path",
          CreateWith([](auto& c) { c.set_log_path("../../../etc/passwd"); }));
  refused("cpuset", CreateWith([](auto& c) {
            c.mutable_linux()->mutable_resources()->set_cpuset_cpus("a-b");
          }));
  refused("capability", CreateWith([](auto& c) {
            c.mutable_linux()
                ->mutable_security_context()
                ->mutable_capabilities()
                ->add_add_capabilities("FLY");
          }));
  refused(
      "seccomp profile", CreateWith([](auto& c) {
        auto* seccomp =
            c.mutable_linux()->mutable_security_context()->mutable_seccomp();
        seccomp->set_profile_type(cri::SecurityProfile::Localhost);
        seccomp->set_localhost_ref("/absent/profile.json");
      }));
  refused("device", CreateWith([](auto& c) {
            auto* device = c.add_devices();
            device->set_host_path("/dev/absent");
            device->set_container_path("/dev/x");
            device->set_permissions("rwm");
          }));
}

TEST_F(InputTest, IdsThatAreNone) {
  for (const std::string& id :
       {std::string(64, 'f'), std::string("../../etc/passwd"), std::string("x"),
        std::string(10000, 'a')}) {
    cri::ContainerStatusRequest status;
    status.set_container_id(id);
    cri::ContainerStatusResponse response;
    const StatusCode code = bed_->client().Call(status, &response).code();
    EXPECT_TRUE(code == StatusCode::kNotFound ||
                code == StatusCode::kInvalidArgument)
        << id.substr(0, 80);
  }
  cri::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(std::string(64, 'f'));
  cri::StopPodSandboxResponse stopped;
  EXPECT_TRUE(bed_->client().Call(stop, &stopped).ok()) << "idempotent";
}

TEST_F(InputTest, Images) {
  const auto pull = [](const std::string& reference) {
    cri::PullImageRequest request;
    request.mutable_image()->set_image(reference);
    cri::PullImageResponse response;
    return bed_->client().Call(request, &response);
  };
  EXPECT_EQ(pull("UPPER CASE").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(pull("").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(pull("a@sha256:12").code(), StatusCode::kInvalidArgument);
  const absl::Status unreachable = pull("127.0.0.1:1/nobody/here:1");
  EXPECT_EQ(unreachable.code(), StatusCode::kUnavailable) << unreachable;
  EXPECT_NE(std::string(unreachable.message()).find("RegistryUnavailable"),
            std::string::npos)
      << unreachable;
}

TEST_F(InputTest, ACidrWithoutRoomOrInUse) {
  const auto update = [](const std::string& cidr) {
    cri::UpdateRuntimeConfigRequest request;
    request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
        cidr);
    cri::UpdateRuntimeConfigResponse response;
    return bed_->client().Call(request, &response);
  };
  EXPECT_FALSE(update("10.1.2.3/33").ok());
  EXPECT_FALSE(update("nonsense").ok());
  EXPECT_TRUE(update("").ok()) << "the kubelet says so when it has none";
}

TEST_F(InputTest, TheDaemonIsUnharmed) {
  const std::string id = bed_->RunContainer(
      *pod_, *config_, bed_->ContainerConfig("fine", {"sleep", "1000"}));
  EXPECT_EQ(bed_->Exec(id, {"echo", "fine"}).stdout(), "fine\n");
  cri::ExecSyncRequest exec;
  exec.set_container_id(id);
  cri::ExecSyncResponse response;
  EXPECT_EQ(bed_->client().Call(exec, &response).code(),
            StatusCode::kInvalidArgument)
      << "an empty command";
  exec.add_cmd("/nope");
  const absl::Status missing = bed_->client().Call(exec, &response);
  EXPECT_FALSE(missing.ok());
  EXPECT_NE(std::string(missing.message()).find("/nope: ENOENT"),
            std::string::npos)
      << missing;
}

}  // namespace
}  // namespace pinion::testing
