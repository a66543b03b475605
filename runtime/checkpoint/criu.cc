#include "runtime/checkpoint/criu.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace pinion::checkpoint {
namespace {

constexpr size_t kMaxErrors = 4;
constexpr size_t kMaxErrorBytes = 240;

// What dump and restore must agree on.
std::vector<std::string> CommonArguments(const std::string& images_dir) {
  return {
      "--images-dir", images_dir,
      // /etc/criu and $HOME must not change what happens to a container.
      "--no-default-config",
      // The leaf is entered before criu is; criu moves nobody.
      "--manage-cgroups=ignore",
      // A restored container has another address: its connections are closed.
      "--tcp-close", "--file-locks", "--link-remap"};
}

std::string Printable(absl::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kMaxErrorBytes)) {
    result.push_back(c >= ' ' && c <= '~' ? c : '?');
  }
  return result;
}

}  // namespace

std::vector<std::string> CriuDirs() {
  return {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
          "/usr/bin",        "/sbin",          "/bin"};
}

absl::StatusOr<std::string> FindCriu(const std::vector<std::string>& dirs) {
  for (const std::string& dir : dirs) {
    std::string path = absl::StrCat(dir, "/criu");
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return absl::UnimplementedError(
      "criu, which checkpoints and restores processes, is not installed on "
      "this node: apt-get install criu");
}

std::vector<std::string> DumpArguments(const DumpCommand& command) {
  std::vector<std::string> words = {"criu", "dump"};
  for (std::string& word : CommonArguments(command.images_dir)) {
    words.push_back(std::move(word));
  }
  const std::vector<std::string> own = {
      "--tree",          absl::StrCat(command.pid),
      "--leave-running", "--action-script",
      command.script,    "--log-file",
      kDumpLog};
  words.insert(words.end(), own.begin(), own.end());
  for (const ExternalMount& mount : command.mounts) {
    words.push_back("--external");
    words.push_back(absl::StrCat("mnt[", mount.path, "]:", mount.name));
  }
  return words;
}

std::vector<std::string> RestoreArguments(const RestoreCommand& command) {
  std::vector<std::string> words = {"criu", "restore"};
  for (std::string& word : CommonArguments(command.images_dir)) {
    words.push_back(std::move(word));
  }
  const std::vector<std::string> own = {
      "--restore-detached", "--root",     command.root, "--pidfile",
      command.pid_file,     "--log-file", kRestoreLog};
  words.insert(words.end(), own.begin(), own.end());
  for (const ExternalMount& mount : command.mounts) {
    words.push_back("--external");
    words.push_back(absl::StrCat("mnt[", mount.name, "]:", mount.path));
  }
  for (size_t i = 0; i < command.stdio.size(); ++i) {
    if (command.stdio[i].empty()) continue;
    words.push_back("--inherit-fd");
    words.push_back(absl::StrCat("fd[", i, "]:", command.stdio[i]));
  }
  return words;
}

std::vector<std::string> CriuEnvironment() {
  return {absl::StrCat("PATH=", absl::StrJoin(CriuDirs(), ":"))};
}

std::string ErrorsOf(std::string_view log) {
  std::vector<std::string> errors;
  const absl::string_view text(log.data(), log.size());
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const size_t at = line.find("Error (");
    if (at == absl::string_view::npos) continue;
    if (errors.size() == kMaxErrors) errors.erase(errors.begin());
    errors.push_back(Printable(line.substr(at)));
  }
  if (errors.empty()) return "criu gave no reason";
  return absl::StrJoin(errors, "; ");
}

}  // namespace pinion::checkpoint
