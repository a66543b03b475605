#include "daemon/flags.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "daemon/config_file.h"

namespace pinion::daemon {
namespace {

struct ValueFlag {
  const char* flag;
  const char* key;  // null: --config
};
constexpr ValueFlag kValueFlags[] = {
    {"--config", nullptr},
    {"--root", "root"},
    {"--state", "state"},
    {"--socket", "cri.socket"},
    {"--metrics-address", "metrics.address"},
    {"--log-level", "log_level"},
};

const ValueFlag* FindValueFlag(const std::string& name) {
  for (const ValueFlag& flag : kValueFlags) {
    if (name == flag.flag) return &flag;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<Flags> ParseFlags(const std::vector<std::string>& arguments) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--check-config") {
      flags.check_config = true;
      continue;
    }
    if (argument == "--version") {
      flags.version = true;
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      flags.help = true;
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const ValueFlag* flag = FindValueFlag(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown argument ", argument, " (see --help)"));
    }
    if (equals == std::string::npos && i + 1 == arguments.size()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
    }
    const std::string value = equals == std::string::npos
                                  ? arguments[++i]
                                  : argument.substr(equals + 1);
    if (flag->key != nullptr) {
      flags.values[flag->key] = value;
    } else {
      flags.config = value;
    }
  }
  return flags;
}

std::string HelpText() {
  return absl::StrCat(
      "piniond: a Kubernetes container runtime (CRI v1)\n"
      "\n"
      "  --config FILE           configuration (",
      kDefaultConfigPath,
      ");\n"
      "                          drop-ins: FILE without .toml plus "
      ".conf.d/*.toml\n"
      "  --root DIR              images and records (/var/lib/pinion)\n"
      "  --state DIR             what ends with a reboot (/run/pinion)\n"
      "  --socket PATH           the CRI socket (<state>/pinion.sock)\n"
      "  --metrics-address A:P   Prometheus endpoint (127.0.0.1:9469); \"\" "
      "for none\n"
      "  --log-level LEVEL       debug, info, warning, error\n"
      "  --check-config          read the configuration, say what is wrong, "
      "end\n"
      "  --version, --help\n"
      "\n"
      "Signals: SIGTERM and SIGINT stop the daemon, pods go on running; SIGHUP "
      "reads\nthe configuration again.\n");
}

absl::StatusOr<Config> LoadConfig(const Flags& flags) {
  Config config;
  const bool by_default = flags.config.empty();
  PINION_RETURN_IF_ERROR(
      ReadConfigFiles(by_default ? kDefaultConfigPath : flags.config,
                      /*optional=*/by_default, &config));
  for (const ValueFlag& flag : kValueFlags) {
    if (flag.key == nullptr) continue;
    const auto found = flags.values.find(flag.key);
    if (found == flags.values.end()) continue;
    PINION_RETURN_IF_ERROR_AS(
        FindConfigKey(flag.key)->apply(found->second, &config), flag.flag);
    config.origins[flag.key] = flag.flag;
  }
  // The socket's default depends on the state directory.
  PINION_RETURN_IF_ERROR_AS(
      FindConfigKey("cri.socket")->apply(config.SocketPath(), &config),
      "cri.socket");
  return config;
}

}  // namespace pinion::daemon
