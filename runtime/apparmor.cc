#include "runtime/apparmor.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/memfd.h"
#include "os/spawn.h"
#include "runtime/plan/apparmor_default.h"

namespace pinion::runtime {
namespace {

constexpr std::chrono::seconds kParserTime(10);
// A node may have thousands of profiles (snaps).
constexpr size_t kMaxList = size_t{8} << 20;

absl::Status Await(const os::SpawnedProcess& process, int log_fd) {
  PINION_ASSIGN_OR_RETURN(
      const int code,
      os::AwaitEnd(process, std::chrono::steady_clock::now() + kParserTime));
  if (code == 0) return absl::OkStatus();
  lseek(log_fd, 0, SEEK_SET);
  const auto log = os::ReadFd(log_fd, "what it said");
  return absl::InternalError(absl::StrCat(
      "exit code ", code, ": ",
      log.ok() ? absl::StripAsciiWhitespace(absl::string_view(*log)) : ""));
}

// Reads the profile from its standard input.
absl::Status RunParser(const std::string& parser, const std::string& profile) {
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd input,
                          os::SealedMemfd("pinion-apparmor", profile));
  lseek(input.get(), 0, SEEK_SET);
  const os::UniqueFd log(memfd_create("pinion-apparmor-log", MFD_CLOEXEC));
  if (!log.valid()) return os::ErrnoStatus("memfd_create");
  os::SpawnSpec spec;
  spec.path = parser;
  spec.argv = {"apparmor_parser", "--replace", "--skip-cache"};
  spec.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  spec.fds = {input.get(), log.get(), log.get()};
  PINION_ASSIGN_OR_RETURN(const os::SpawnedProcess process, os::Spawn(spec));
  return Await(process, log.get());
}

absl::Status CannotHave(const std::string& profile, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("AppArmor profile ", profile, ": ", why));
}

}  // namespace

AppArmor::AppArmor(Paths paths) : paths_(std::move(paths)) {}

bool AppArmor::enabled() const {
  const auto text = os::ReadFileAt(AT_FDCWD, paths_.enabled);
  return text.ok() && absl::StartsWith(*text, "Y");
}

absl::StatusOr<std::string> AppArmor::Resolve(
    const state::ContainerSecurity& security) {
  using Profile = state::AppArmorProfile;
  const Profile::Kind kind = security.apparmor().kind();
  const bool localhost = kind == Profile::LOCALHOST;
  const bool asked = localhost || kind == Profile::RUNTIME_DEFAULT;
  if (kind == Profile::UNCONFINED) return "";
  if (!enabled()) {
    if (!asked) return "";
    return CannotHave(
        localhost ? security.apparmor().name() : plan::kDefaultAppArmorProfile,
        "this node's kernel has no AppArmor");
  }
  if (localhost) {
    PINION_RETURN_IF_ERROR(CheckLoaded(security.apparmor().name()));
    return security.apparmor().name();
  }
  if (security.privileged()) return "";
  if (const absl::Status loaded = LoadDefault(); !loaded.ok()) {
    if (!asked) return "";
    return CannotHave(plan::kDefaultAppArmorProfile, loaded.message());
  }
  return plan::kDefaultAppArmorProfile;
}

absl::Status AppArmor::LoadDefault() {
  absl::MutexLock lock(&load_mutex_);
  if (loaded_ && CheckLoaded(plan::kDefaultAppArmorProfile).ok()) {
    return absl::OkStatus();
  }
  const absl::Status status = Annotate(
      RunParser(paths_.parser, plan::DefaultAppArmorProfile()), paths_.parser);
  loaded_ = status.ok();
  absl::MutexLock error_lock(&mutex_);
  error_ = std::string(status.message());
  return status;
}

std::string AppArmor::error() const {
  absl::MutexLock lock(&mutex_);
  return error_;
}

// Where the list cannot be read (securityfs is not mounted) the kernel will
// say at the start whether it knows the profile.
absl::Status AppArmor::CheckLoaded(const std::string& profile) const {
  const auto profiles = os::ReadFileAt(AT_FDCWD, paths_.profiles, kMaxList);
  if (!profiles.ok() || ListsProfile(*profiles, profile)) {
    return absl::OkStatus();
  }
  return CannotHave(profile,
                    "not loaded on this node (apparmor_parser loads profiles)");
}

bool ListsProfile(std::string_view profiles, std::string_view name) {
  while (!profiles.empty()) {
    const std::string_view line = profiles.substr(0, profiles.find('\n'));
    // Names may have spaces and parentheses, modes have not.
    if (line.substr(0, line.rfind(" (")) == name) return true;
    profiles.remove_prefix(std::min(profiles.size(), line.size() + 1));
  }
  return false;
}

}  // namespace pinion::runtime
