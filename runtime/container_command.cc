#include "runtime/container_command.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace pinion::runtime {
namespace {

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr char kDefaultTerm[] = "xterm";

// Keeps the order of first appearance, so that what people see is stable.
class Environment {
 public:
  void Set(const std::string& key, const std::string& value) {
    const auto [at, added] = index_.emplace(key, entries_.size());
    std::string entry = absl::StrCat(key, "=", value);
    if (added) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[at->second] = std::move(entry);
    }
  }
  void SetDefault(const std::string& key, const std::string& value) {
    if (index_.count(key) == 0) Set(key, value);
  }
  std::vector<std::string> Take() { return std::move(entries_); }

 private:
  std::map<std::string, size_t> index_;
  std::vector<std::string> entries_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ContainerArgv(
    const state::ContainerSpec& spec, const image::ImageConfig& image) {
  std::vector<std::string> argv(spec.command().begin(), spec.command().end());
  if (argv.empty()) argv = image.entrypoint;
  if (!spec.args().empty()) {
    argv.insert(argv.end(), spec.args().begin(), spec.args().end());
  } else if (spec.command().empty()) {
    argv.insert(argv.end(), image.cmd.begin(), image.cmd.end());
  }
  if (argv.empty() || argv.front().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("container ", spec.name(),
                     " has no command: neither the request nor image ",
                     spec.image(), " names one"));
  }
  return argv;
}

std::vector<std::string> ContainerEnv(const state::ContainerSpec& spec,
                                      const image::ImageConfig& image,
                                      const std::string& hostname,
                                      const std::string& home) {
  Environment env;
  for (const std::string& entry : image.env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    env.Set(entry.substr(0, equals), entry.substr(equals + 1));
  }
  env.SetDefault("PATH", kDefaultPath);
  if (!hostname.empty()) env.Set("HOSTNAME", hostname);
  if (spec.tty()) env.SetDefault("TERM", kDefaultTerm);
  for (const state::EnvVar& variable : spec.envs()) {
    env.Set(variable.key(), variable.value());
  }
  env.SetDefault("HOME", home);
  return env.Take();
}

void SetDefaultTerm(std::vector<std::string>& env) {
  for (const std::string& entry : env) {
    if (absl::StartsWith(entry, "TERM=")) return;
  }
  env.push_back(absl::StrCat("TERM=", kDefaultTerm));
}

}  // namespace pinion::runtime
