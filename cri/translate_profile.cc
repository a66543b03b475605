#include "cri/translate_profile.h"

#include <string>
#include <string_view>

#include "base/status_macros.h"

// The deprecated fields are what this file reads.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace pinion::cri {
namespace {

constexpr std::string_view kLocalhost = "localhost/";

std::string WithoutLocalhost(const std::string& ref) {
  return ref.rfind(kLocalhost, 0) == 0 ? ref.substr(kLocalhost.size()) : ref;
}

// A profile in the old notation: "", "runtime/default", "unconfined",
// "localhost/NAME". Empty: nothing was asked.
absl::StatusOr<api::SecurityProfile> FromOldNotation(const Field& field,
                                                     const std::string& text) {
  api::SecurityProfile profile;
  if (text == "runtime/default" || text == "docker/default") {
    profile.set_profile_type(api::SecurityProfile::RuntimeDefault);
  } else if (text == "unconfined") {
    profile.set_profile_type(api::SecurityProfile::Unconfined);
  } else if (text.rfind(kLocalhost, 0) == 0) {
    profile.set_profile_type(api::SecurityProfile::Localhost);
    profile.set_localhost_ref(text.substr(kLocalhost.size()));
  } else {
    return Refuse(field, text,
                  "must be runtime/default, unconfined or localhost/NAME");
  }
  return profile;
}

absl::Status CheckProfile(const Field& field,
                          const api::SecurityProfile& profile) {
  if (!api::SecurityProfile::ProfileType_IsValid(profile.profile_type())) {
    return Refuse(field.Sub("profile_type"),
                  static_cast<int64_t>(profile.profile_type()),
                  "is no profile type of the CRI");
  }
  const bool localhost =
      profile.profile_type() == api::SecurityProfile::Localhost;
  if (!localhost && !profile.localhost_ref().empty()) {
    return Refuse(field.Sub("localhost_ref"), profile.localhost_ref(),
                  "is only for profile_type Localhost");
  }
  return absl::OkStatus();
}

absl::Status SetSeccomp(const Field& field, const api::SecurityProfile& in,
                        state::SeccompProfile& out) {
  PINION_RETURN_IF_ERROR(CheckProfile(field, in));
  switch (in.profile_type()) {
    case api::SecurityProfile::Unconfined:
      out.set_kind(state::SeccompProfile::UNCONFINED);
      break;
    case api::SecurityProfile::Localhost:
      out.set_kind(state::SeccompProfile::LOCALHOST);
      out.set_path(WithoutLocalhost(in.localhost_ref()));
      return CheckAbsolutePath(field.Sub("localhost_ref"), out.path());
    default:
      out.set_kind(state::SeccompProfile::RUNTIME_DEFAULT);
  }
  return absl::OkStatus();
}

absl::Status SetAppArmor(const Field& field, const api::SecurityProfile& in,
                         state::AppArmorProfile& out) {
  PINION_RETURN_IF_ERROR(CheckProfile(field, in));
  switch (in.profile_type()) {
    case api::SecurityProfile::Unconfined:
      out.set_kind(state::AppArmorProfile::UNCONFINED);
      break;
    case api::SecurityProfile::Localhost: {
      const Field ref = field.Sub("localhost_ref");
      out.set_kind(state::AppArmorProfile::LOCALHOST);
      out.set_name(WithoutLocalhost(in.localhost_ref()));
      if (out.name().empty()) return RefuseField(ref, "must not be empty");
      return CheckLine(ref, out.name(), 4095);
    }
    default:
      out.set_kind(state::AppArmorProfile::RUNTIME_DEFAULT);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SetProfiles(const Field& field,
                         const api::LinuxContainerSecurityContext& in,
                         state::ContainerSecurity* out) {
  if (in.has_seccomp()) {
    PINION_RETURN_IF_ERROR(SetSeccomp(field.Sub("seccomp"), in.seccomp(),
                                      *out->mutable_seccomp()));
  } else if (!in.seccomp_profile_path().empty()) {
    const Field old = field.Sub("seccomp_profile_path");
    PINION_ASSIGN_OR_RETURN(const auto profile,
                            FromOldNotation(old, in.seccomp_profile_path()));
    PINION_RETURN_IF_ERROR(SetSeccomp(old, profile, *out->mutable_seccomp()));
  }
  if (in.has_apparmor()) {
    PINION_RETURN_IF_ERROR(SetAppArmor(field.Sub("apparmor"), in.apparmor(),
                                       *out->mutable_apparmor()));
  } else if (!in.apparmor_profile().empty()) {
    const Field old = field.Sub("apparmor_profile");
    PINION_ASSIGN_OR_RETURN(const auto profile,
                            FromOldNotation(old, in.apparmor_profile()));
    PINION_RETURN_IF_ERROR(SetAppArmor(old, profile, *out->mutable_apparmor()));
  }
  return absl::OkStatus();
}

absl::Status CheckSandboxProfiles(const Field& field,
                                  const api::LinuxSandboxSecurityContext& in) {
  if (in.has_seccomp()) {
    state::SeccompProfile unused;
    PINION_RETURN_IF_ERROR(
        SetSeccomp(field.Sub("seccomp"), in.seccomp(), unused));
  } else if (!in.seccomp_profile_path().empty()) {
    PINION_RETURN_IF_ERROR(FromOldNotation(field.Sub("seccomp_profile_path"),
                                           in.seccomp_profile_path())
                               .status());
  }
  if (!in.has_apparmor()) return absl::OkStatus();
  state::AppArmorProfile unused;
  return SetAppArmor(field.Sub("apparmor"), in.apparmor(), unused);
}

}  // namespace pinion::cri
