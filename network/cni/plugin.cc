#include "network/cni/plugin.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "network/cni/result.h"
#include "os/error.h"
#include "os/file.h"
#include "os/memfd.h"
#include "os/spawn.h"

namespace pinion::network::cni {
namespace {

constexpr off_t kMaxOutput = 1 << 20;

// Takes kMaxOutput bytes and no more.
absl::StatusOr<os::UniqueFd> OutputFile() {
  os::UniqueFd file(
      memfd_create("pinion-cni", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return os::ErrnoStatus("memfd_create");
  if (ftruncate(file.get(), kMaxOutput) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW) != 0) {
    return os::ErrnoStatus("size the file for a plugin's output");
  }
  return file;
}

// The program's descriptor shares its offset with ours.
std::string Written(int file) {
  const off_t size = lseek(file, 0, SEEK_CUR);
  std::string text(static_cast<size_t>(size < 0 ? 0 : size), '\0');
  const ssize_t got = pread(file, text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(got < 0 ? 0 : got));
  return text;
}

std::vector<std::string> Environment(
    const std::vector<std::string>& directories, const PluginCall& call) {
  // Plugins run iptables and the like, and add-ons want what the daemon's unit
  // says (proxies, KUBECONFIG).
  std::vector<std::string> result;
  bool has_path = false;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (absl::StartsWith(text, "CNI_") ||
        absl::StartsWith(text, "NOTIFY_SOCKET=")) {
      continue;
    }
    has_path = has_path || absl::StartsWith(text, "PATH=");
    result.emplace_back(text);
  }
  if (!has_path) {
    result.emplace_back(
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  }
  const std::pair<const char*, std::string> own[] = {
      {"COMMAND", call.command}, {"CONTAINERID", call.container_id},
      {"NETNS", call.netns},     {"IFNAME", call.interface_name},
      {"ARGS", call.arguments},  {"PATH", absl::StrJoin(directories, ":")}};
  for (const auto& [name, value] : own) {
    result.push_back(absl::StrCat("CNI_", name, "=", value));
  }
  return result;
}

}  // namespace

absl::StatusOr<std::string> FindPlugin(
    const std::vector<std::string>& directories, const std::string& type) {
  for (const std::string& directory : directories) {
    std::string path = absl::StrCat(directory, "/", type);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return absl::NotFoundError(absl::StrCat(
      "the CNI plugin ", type, " is not in ", absl::StrJoin(directories, ", "),
      " (network.cni_bin_dirs)"));
}

absl::StatusOr<std::string> RunPlugin(
    const std::string& program, const std::vector<std::string>& directories,
    const PluginCall& call, const std::string& input,
    std::chrono::steady_clock::time_point limit) {
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd in,
                          os::SealedMemfd("pinion-cni", input));
  lseek(in.get(), 0, SEEK_SET);
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd out, OutputFile());
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd log, OutputFile());
  os::SpawnSpec spec;
  spec.path = program;
  spec.argv = {program};
  spec.env = Environment(directories, call);
  spec.fds = {in.get(), out.get(), log.get()};
  spec.new_session = true;
  PINION_ASSIGN_OR_RETURN(const os::SpawnedProcess process, os::Spawn(spec));
  const std::string what =
      absl::StrCat("CNI plugin ", program, " ", call.command);
  PINION_ASSIGN_OR_RETURN_AS(const int code, os::AwaitEnd(process, limit),
                             what);
  std::string output = Written(out.get());
  if (code == 0) return output;
  return Annotate(ErrorOf(output, Written(log.get()), code), what);
}

}  // namespace pinion::network::cni
