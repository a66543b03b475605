// Requests of the CRI as bytes on the wire. The first byte chooses the
// message, the others are it. What translation accepts must keep the promises
// that the layers below rely on; what it refuses, it refuses in bounded ASCII.

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/id.h"
#include "cri/field.h"
#include "cri/translate_container.h"
#include "cri/translate_image.h"
#include "cri/translate_sandbox.h"
#include "cri/translate_status.h"

namespace {

using pinion::cri::HasDotDot;
namespace api = pinion::cri::api;
namespace state = pinion::state;

void Require(bool promise) {
  if (!promise) abort();
}

void RequireRefusal(const absl::Status& status) {
  Require(absl::IsInvalidArgument(status) || absl::IsUnimplemented(status));
  Require(status.message().size() < 1024);
  for (const char c : status.message()) Require(c >= 0x20 && c < 0x7f);
}

bool IsLine(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

void CheckResources(const state::Resources& resources) {
  Require(resources.memory_limit_bytes() >= 0);
  Require(resources.cpu_shares() >= 0 && resources.cpu_shares() <= 262144);
  for (const auto& [name, value] : resources.unified()) {
    Require(name.find('/') == std::string::npos);
    Require(name.rfind("cgroup.", 0) != 0);
    Require(value.find('\0') == std::string::npos);
  }
}

// What the kernel takes for a user namespace's maps, bar the number.
void CheckMappings(
    const google::protobuf::RepeatedPtrField<state::IdMapping>& mappings) {
  for (const state::IdMapping& m : mappings) {
    constexpr uint64_t kLimit = std::numeric_limits<uint32_t>::max();
    Require(m.length() > 0);
    Require(uint64_t{m.container_id()} + m.length() <= kLimit);
    Require(uint64_t{m.host_id()} + m.length() <= kLimit);
  }
}

void TryPod(const std::string& bytes) {
  api::RunPodSandboxRequest request;
  if (!request.ParseFromString(bytes)) return;
  const auto spec = pinion::cri::ToPodSpec(request);
  if (!spec.ok()) return RequireRefusal(spec.status());
  Require(pinion::IsSafeName(spec->name()));
  Require(pinion::IsSafeName(spec->uid()));
  Require(pinion::IsSafeName(spec->namespace_()));
  Require(spec->hostname().size() <= 64);
  Require(!HasDotDot(spec->log_directory()));
  Require(!HasDotDot(spec->cgroup_parent()) && IsLine(spec->cgroup_parent()));
  for (const std::string& word : spec->dns().searches()) Require(IsLine(word));
  for (const std::string& word : spec->dns().servers()) Require(IsLine(word));
  for (const auto& [name, value] : spec->sysctls()) {
    Require(name.find('/') == std::string::npos && !HasDotDot(name));
    Require(value.find('\n') == std::string::npos);
  }
  CheckResources(spec->resources());
  const state::UserNamespace& mapped = spec->namespaces().user_namespace();
  CheckMappings(mapped.uids());
  CheckMappings(mapped.gids());
  Require(mapped.uids().empty() == mapped.gids().empty());

  // What was accepted comes back as it was.
  state::PodRecord pod;
  *pod.mutable_spec() = *spec;
  api::PodSandboxStatus status;
  pinion::cri::ToPodSandboxStatus(pod, &status);
  Require(status.metadata().name() == request.config().metadata().name());
  Require(status.labels_size() == request.config().labels_size());
  Require(status.annotations_size() == request.config().annotations_size());
}

void TryContainer(const std::string& bytes) {
  api::CreateContainerRequest request;
  if (!request.ParseFromString(bytes)) return;
  auto spec = pinion::cri::ToContainerSpec(request);
  if (!spec.ok()) return RequireRefusal(spec.status());
  Require(pinion::IsSafeName(spec->name()));
  Require(spec->log_path().empty() ||
          (spec->log_path()[0] != '/' && !HasDotDot(spec->log_path())));
  for (const state::Mount& mount : spec->mounts()) {
    Require(mount.container_path()[0] == '/');
    Require(mount.host_path().empty() ? !mount.image().image().empty()
                                      : mount.host_path()[0] == '/');
    Require(mount.image().sub_path()[0] != '/' &&
            !HasDotDot(mount.image().sub_path()));
    CheckMappings(mount.uid_mappings());
    CheckMappings(mount.gid_mappings());
    Require(!mount.recursive_read_only() || mount.readonly());
  }
  for (const state::EnvVar& env : spec->envs()) {
    Require(!env.key().empty() && env.key().find('=') == std::string::npos);
    Require(env.value().find('\0') == std::string::npos);
  }
  const state::ContainerSecurity& security = spec->security();
  Require(security.run_as_user() >= 0 &&
          security.run_as_user() <= std::numeric_limits<int32_t>::max());
  Require(!security.has_run_as_group() || security.has_run_as_user() ||
          !security.run_as_username().empty());
  Require(spec->stop_signal() >= 0 && spec->stop_signal() <= 64);
  CheckResources(spec->resources());

  // A pod that was given nothing gives nothing.
  const absl::Status fits = pinion::cri::FitIntoPod(state::PodSpec(), &*spec);
  if (!fits.ok()) return RequireRefusal(fits);
  Require(!spec->security().privileged());
  const state::Namespaces& namespaces = spec->security().namespaces();
  Require(namespaces.network() == state::NAMESPACE_POD);
  Require(namespaces.pid() != state::NAMESPACE_NODE);

  state::ContainerRecord record;
  *record.mutable_spec() = *spec;
  api::ContainerStatus status;
  pinion::cri::ToContainerStatus(record, &status);
  Require(status.mounts_size() == request.config().mounts_size());
  Require(status.labels_size() == request.config().labels_size());
}

void TryPull(const std::string& bytes) {
  api::PullImageRequest request;
  if (!request.ParseFromString(bytes)) return;
  const auto reference = pinion::cri::ToReference(request.image());
  if (!reference.ok()) return RequireRefusal(reference.status());
  Require(!reference->empty() && IsLine(*reference));
  const auto credentials = pinion::cri::ToCredentials(request.auth());
  if (!credentials.ok()) return RequireRefusal(credentials.status());
  Require(credentials->password.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      TryPod(bytes);
      break;
    case 1:
      TryContainer(bytes);
      break;
    default:
      TryPull(bytes);
  }
  return 0;
}
