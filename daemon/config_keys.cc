// The table of keys: name, check, member. docs/configuration.md describes
// each; a test compares the two lists and deploy/pinion.toml.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "daemon/config.h"
#include "daemon/config_checks.h"

namespace pinion::daemon {
namespace {

template <typename T>
using Member = std::function<T&(Config&)>;
using Check = absl::Status (*)(const std::string&);

absl::Status WrongType(absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", wanted));
}

std::string Quote(const std::string& text) {
  return absl::StrCat("\"", text, "\"");
}

// A member is only read through a copy: Member<T> takes a mutable Config.
template <typename T>
T Read(const Member<T>& member, const Config& config) {
  Config copy = config;
  return member(copy);
}

ConfigKey Text(const std::string& name, Member<std::string> member,
               Check check) {
  ConfigKey key;
  key.name = name;
  key.default_value = Quote(Read(member, Config()));
  key.apply = [member, check](const ConfigValue& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return WrongType("a string");
    PINION_RETURN_IF_ERROR(check(*text));
    member(*config) = *text;
    return absl::OkStatus();
  };
  key.show = [member](const Config& config) {
    return ConfigValue(Read(member, config));
  };
  return key;
}

// A proxy's URL may hold a password.
ConfigKey Proxy(const std::string& name, Member<std::string> member) {
  ConfigKey key = Text(name, member, ProxyOrEmpty);
  key.show = [member](const Config& config) {
    return ConfigValue(WithoutUserInfo(Read(member, config)));
  };
  return key;
}

std::string ListAsToml(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", "\"", item, "\"");
  }
  return absl::StrCat("[", text, "]");
}

ConfigKey List(const std::string& name, Member<std::vector<std::string>> member,
               Check check) {
  ConfigKey key;
  key.name = name;
  key.default_value = ListAsToml(Read(member, Config()));
  key.apply = [member, check](const ConfigValue& value, Config* config) {
    const auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr) return WrongType("a list of strings");
    for (const std::string& item : *list) {
      PINION_RETURN_IF_ERROR_AS(check(item), "each item");
    }
    member(*config) = *list;
    return absl::OkStatus();
  };
  key.show = [member](const Config& config) {
    return ConfigValue(Read(member, config));
  };
  return key;
}

ConfigKey Number(const std::string& name, Member<int64_t> member, int64_t least,
                 int64_t most) {
  ConfigKey key;
  key.name = name;
  key.default_value = absl::StrCat(Read(member, Config()));
  key.apply = [member, least, most](const ConfigValue& value, Config* config) {
    const auto* number = std::get_if<int64_t>(&value);
    if (number == nullptr || *number < least || *number > most) {
      return WrongType(absl::StrCat("an integer from ", least, " to ", most));
    }
    member(*config) = *number;
    return absl::OkStatus();
  };
  key.show = [member](const Config& config) {
    return ConfigValue(Read(member, config));
  };
  return key;
}

ConfigKey Flag(const std::string& name, Member<bool> member) {
  ConfigKey key;
  key.name = name;
  key.default_value = Read(member, Config()) ? "true" : "false";
  key.apply = [member](const ConfigValue& value, Config* config) {
    const auto* flag = std::get_if<bool>(&value);
    if (flag == nullptr) return WrongType("true or false");
    member(*config) = *flag;
    return absl::OkStatus();
  };
  key.show = [member](const Config& config) {
    return ConfigValue(Read(member, config));
  };
  return key;
}

// One of several words.
template <typename T>
ConfigKey Choice(const std::string& name, Member<T> member,
                 std::vector<std::pair<std::string, T>> words) {
  const auto word_of = [words](const T& wanted) -> std::string {
    for (const auto& [word, value] : words) {
      if (value == wanted) return word;
    }
    return "";
  };
  ConfigKey key;
  key.name = name;
  key.default_value = Quote(word_of(Read(member, Config())));
  key.apply = [member, words](const ConfigValue& value, Config* config) {
    std::vector<std::string> names;
    const auto* text = std::get_if<std::string>(&value);
    for (const auto& [word, meaning] : words) {
      if (text != nullptr && word == *text) {
        member(*config) = meaning;
        return absl::OkStatus();
      }
      names.push_back(Quote(word));
    }
    return WrongType(absl::StrCat(
        "one of ", absl::StrJoin(names, ", "),
        text == nullptr ? "" : absl::StrCat(", not ", Quote(*text))));
  };
  key.show = [member, word_of](const Config& config) {
    return ConfigValue(word_of(Read(member, config)));
  };
  return key;
}

ConfigKey Duration(const std::string& name, Member<std::chrono::seconds> member,
                   std::chrono::seconds most) {
  const auto show = [member](const Config& config) {
    return absl::StrCat(Read(member, config).count(), "s");
  };
  ConfigKey key;
  key.name = name;
  key.default_value = Quote(show(Config()));
  key.apply = [member, most](const ConfigValue& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return WrongType("a duration as a string (\"90s\")");
    PINION_ASSIGN_OR_RETURN(const int64_t seconds, DurationSeconds(*text));
    if (seconds > most.count()) {
      return WrongType(absl::StrCat("at most ", most.count(), "s"));
    }
    member(*config) = std::chrono::seconds(seconds);
    return absl::OkStatus();
  };
  key.show = [show](const Config& config) { return ConfigValue(show(config)); };
  return key;
}

ConfigKey Reloadable(ConfigKey key) {
  key.reloadable = true;
  return key;
}

// NOLINTNEXTLINE: a member of Config, as the functions above want it.
#define PINION_MEMBER(path) \
  [](Config & c) -> auto& { return c.path; }

void AddGeneral(std::vector<ConfigKey>* keys) {
  keys->push_back(Text("root", PINION_MEMBER(root), AbsolutePath));
  keys->push_back(Text("state", PINION_MEMBER(state), AbsolutePath));
  keys->push_back(
      Reloadable(Choice<LogLevel>("log_level", PINION_MEMBER(log_level),
                                  {{"debug", LogLevel::kDebug},
                                   {"info", LogLevel::kInfo},
                                   {"warning", LogLevel::kWarning},
                                   {"error", LogLevel::kError}})));
  keys->push_back(Choice<LogFormat>(
      "log_format", PINION_MEMBER(log_format),
      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
  keys->push_back(
      Text("cri.socket", PINION_MEMBER(cri.socket), SocketPathOrEmpty));
  keys->push_back(
      Text("cri.socket_group", PINION_MEMBER(cri.socket_group), AnyText));
  keys->push_back(
      Number("cri.max_calls", PINION_MEMBER(cri.max_calls), 16, 65536));
  keys->push_back(Text("streaming.address", PINION_MEMBER(streaming.address),
                       ListenAddress));
  keys->push_back(Text("streaming.tls_cert_file",
                       PINION_MEMBER(streaming.tls_cert_file),
                       AbsolutePathOrEmpty));
  keys->push_back(Text("streaming.tls_key_file",
                       PINION_MEMBER(streaming.tls_key_file),
                       AbsolutePathOrEmpty));
  keys->push_back(Duration("streaming.idle_timeout",
                           PINION_MEMBER(streaming.idle_timeout),
                           std::chrono::hours(24 * 30)));
  keys->push_back(Number("streaming.max_sessions",
                         PINION_MEMBER(streaming.max_sessions), 1, 4096));
  keys->push_back(Text("metrics.address", PINION_MEMBER(metrics.address),
                       ListenAddressOrEmpty));
  keys->push_back(Choice<CgroupDriverChoice>(
      "cgroup.driver", PINION_MEMBER(cgroup.driver),
      {{"auto", CgroupDriverChoice::kAuto},
       {"systemd", CgroupDriverChoice::kSystemd},
       {"cgroupfs", CgroupDriverChoice::kCgroupfs}}));
  keys->push_back(Text("cgroup.default_parent",
                       PINION_MEMBER(cgroup.default_parent),
                       CgroupParentOrEmpty));
  keys->push_back(Choice<bool>("cgroup.missing_controllers",
                               PINION_MEMBER(cgroup.ignore_missing_controllers),
                               {{"refuse", false}, {"ignore", true}}));
  keys->push_back(Flag("cgroup.oom_group", PINION_MEMBER(cgroup.oom_group)));
  keys->push_back(
      Choice<cgroup::DriftMode>("cgroup.drift", PINION_MEMBER(cgroup.drift),
                                {{"repair", cgroup::DriftMode::kRepair},
                                 {"report", cgroup::DriftMode::kReport},
                                 {"off", cgroup::DriftMode::kOff}}));
}

void AddCpu(std::vector<ConfigKey>* keys) {
  keys->push_back(Choice<bool>("cpu.policy", PINION_MEMBER(cpu.pinning),
                               {{"none", false}, {"static", true}}));
  keys->push_back(Text("cpu.reserved", PINION_MEMBER(cpu.reserved), CpuList));
  keys->push_back(Choice<std::string>("cpu.numa", PINION_MEMBER(cpu.numa),
                                      {{"best-effort", "best-effort"},
                                       {"single-numa-node", "single-numa-node"},
                                       {"none", "none"}}));
}

void AddCni(std::vector<ConfigKey>* keys) {
  keys->push_back(Text("network.cni_conf_dir",
                       PINION_MEMBER(network.cni_conf_dir), AbsolutePath));
  keys->push_back(List("network.cni_bin_dirs",
                       PINION_MEMBER(network.cni_bin_dirs), AbsolutePath));
  keys->push_back(Duration("network.cni_timeout",
                           PINION_MEMBER(network.cni_timeout),
                           std::chrono::minutes(10)));
}

void AddModes(std::vector<ConfigKey>* keys) {
  keys->push_back(
      List("network.modes", PINION_MEMBER(network.modes), NetworkMode));
  keys->push_back(Choice<std::string>("network.ipvlan_mode",
                                      PINION_MEMBER(network.ipvlan_mode),
                                      {{"l2", "l2"}, {"l3s", "l3s"}}));
  keys->push_back(Text("network.bridge_range",
                       PINION_MEMBER(network.bridge_range), RangeOrEmpty));
  keys->push_back(Text("network.bridge_name",
                       PINION_MEMBER(network.bridge_name), DeviceName));
  keys->push_back(List("network.no_masquerade",
                       PINION_MEMBER(network.no_masquerade), CidrOrEmpty));
}

void AddNetwork(std::vector<ConfigKey>* keys) {
  keys->push_back(Choice<std::string>("network.mode",
                                      PINION_MEMBER(network.mode),
                                      {{"macvlan", "macvlan"},
                                       {"ipvlan", "ipvlan"},
                                       {"bridge", "bridge"},
                                       {"cni", "cni"},
                                       {"none", "none"}}));
  keys->push_back(
      Text("network.parent", PINION_MEMBER(network.parent), ParentDevice));
  keys->push_back(
      Text("network.range", PINION_MEMBER(network.range), RangeOrEmpty));
  keys->push_back(
      Text("network.subnet", PINION_MEMBER(network.subnet), CidrOrEmpty));
  keys->push_back(Text("network.gateway", PINION_MEMBER(network.gateway),
                       IpAddressesOrEmpty));
  keys->push_back(
      List("network.exclude", PINION_MEMBER(network.exclude), AddressSet));
  keys->push_back(Text("network.node_address",
                       PINION_MEMBER(network.node_address),
                       IpAddressesOrEmpty));
  keys->push_back(Text("network.service_cidr",
                       PINION_MEMBER(network.service_cidr), CidrOrEmpty));
  keys->push_back(Flag("network.host_link", PINION_MEMBER(network.host_link)));
  keys->push_back(Text("network.host_link_name",
                       PINION_MEMBER(network.host_link_name), DeviceName));
  keys->push_back(Text("network.interface_name",
                       PINION_MEMBER(network.interface_name),
                       PodInterfaceName));
  keys->push_back(Number("network.mtu", PINION_MEMBER(network.mtu), 0, 65535));
  keys->push_back(Duration("network.cool_down",
                           PINION_MEMBER(network.cool_down),
                           std::chrono::hours(24)));
  keys->push_back(
      Flag("network.duplicate_probe", PINION_MEMBER(network.duplicate_probe)));
}

void AddImage(std::vector<ConfigKey>* keys) {
  keys->push_back(Text("image.registry_config_dir",
                       PINION_MEMBER(image.registry_config_dir),
                       AbsolutePathOrEmpty));
  keys->push_back(List("image.insecure_registries",
                       PINION_MEMBER(image.insecure_registries), RegistryHost));
  keys->push_back(Text("image.default_registry",
                       PINION_MEMBER(image.default_registry),
                       RegistryHostOrEmpty));
  keys->push_back(Proxy("image.http_proxy", PINION_MEMBER(image.http_proxy)));
  keys->push_back(Proxy("image.https_proxy", PINION_MEMBER(image.https_proxy)));
  keys->push_back(
      Text("image.no_proxy", PINION_MEMBER(image.no_proxy), AnyText));
  keys->push_back(Number("image.parallel_layers",
                         PINION_MEMBER(image.parallel_layers), 1, 64));
  keys->push_back(List("image.pinned", PINION_MEMBER(image.pinned), AnyText));
}

void AddRuntime(std::vector<ConfigKey>* keys) {
  keys->push_back(
      List("runtime.handlers", PINION_MEMBER(runtime.handlers), HandlerName));
  keys->push_back(
      Flag("runtime.seccomp_default", PINION_MEMBER(runtime.seccomp_default)));
  keys->push_back(List("runtime.allowed_unsafe_sysctls",
                       PINION_MEMBER(runtime.allowed_unsafe_sysctls),
                       SysctlPattern));
  keys->push_back(List("runtime.cdi_spec_dirs",
                       PINION_MEMBER(runtime.cdi_spec_dirs), AbsolutePath));
  keys->push_back(
      Number("runtime.warm_pods", PINION_MEMBER(runtime.warm_pods), 0, 64));
}

#undef PINION_MEMBER

// A member of one further network.
template <typename T>
Member<T> Of(const std::string& network, T SecondaryNetworkConfig::*member) {
  return [network, member](Config& config) -> T& {
    return config.network.secondary[network].*member;
  };
}

}  // namespace

const std::vector<ConfigKey>& ConfigKeys() {
  static const auto& keys = *[] {
    auto* all = new std::vector<ConfigKey>;
    AddGeneral(all);
    AddCpu(all);
    AddNetwork(all);
    AddModes(all);
    AddCni(all);
    AddImage(all);
    AddRuntime(all);
    return all;
  }();
  return keys;
}

std::vector<ConfigKey> SecondaryNetworkKeys(const std::string& name) {
  using Network = SecondaryNetworkConfig;
  const std::string prefix = absl::StrCat("network.secondary.", name, ".");
  return {
      Text(prefix + "parent", Of(name, &Network::parent), DeviceName),
      Number(prefix + "vlan", Of(name, &Network::vlan), 0, 4094),
      Text(prefix + "range", Of(name, &Network::range), RangeOrEmpty),
      Text(prefix + "subnet", Of(name, &Network::subnet), CidrOrEmpty),
      Text(prefix + "gateway", Of(name, &Network::gateway), IpAddressesOrEmpty),
      List(prefix + "routes", Of(name, &Network::routes), StaticRoute),
      List(prefix + "exclude", Of(name, &Network::exclude), AddressSet),
      Number(prefix + "mtu", Of(name, &Network::mtu), 0, 65535),
      Choice<std::string>(
          prefix + "macvlan_mode", Of(name, &Network::macvlan_mode),
          {{"bridge", "bridge"}, {"vepa", "vepa"}, {"private", "private"}}),
  };
}

}  // namespace pinion::daemon
