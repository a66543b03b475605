// What piniond can be told: the configuration's values, and the table of its
// keys that the parser, docs/configuration.md and deploy/pinion.toml share.
//
// Values only; where they come from is config_file.h (TOML) and flags.h (the
// command line). Plain data, not synchronised.

#ifndef PINION_DAEMON_CONFIG_H_
#define PINION_DAEMON_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/log.h"
#include "runtime/cgroup/drift.h"

namespace pinion::daemon {

enum class CgroupDriverChoice { kAuto, kSystemd, kCgroupfs };

struct CriConfig {
  std::string socket;  // empty: <state>/pinion.sock
  std::string socket_group;
  int64_t max_calls = 4096;
};

struct StreamingConfig {
  std::string address = "127.0.0.1:0";
  std::string tls_cert_file;  // empty: plain HTTP
  std::string tls_key_file;
  std::chrono::seconds idle_timeout = std::chrono::hours(4);
  int64_t max_sessions = 256;
};

struct MetricsConfig {
  std::string address = "127.0.0.1:9469";  // empty: no endpoint
};

struct CgroupConfig {
  CgroupDriverChoice driver = CgroupDriverChoice::kAuto;
  std::string default_parent;  // empty: pinion.slice or /pinion
  bool ignore_missing_controllers = false;
  bool oom_group = false;
  cgroup::DriftMode drift = cgroup::DriftMode::kRepair;
};

struct CpuConfig {
  bool pinning = false;
  std::string reserved = "0";
  std::string numa = "best-effort";
};

// [network.secondary.NAME]
struct SecondaryNetworkConfig {
  std::string parent;
  int64_t vlan = 0;   // 0: none
  std::string range;  // empty: interfaces without addresses
  std::string subnet;
  std::string gateway;
  std::vector<std::string> routes;
  std::vector<std::string> exclude;
  int64_t mtu = 0;  // 0: the parent's
  std::string macvlan_mode = "bridge";
};

struct NetworkConfig {
  std::string mode = "macvlan";
  std::string parent = "auto";
  std::string range;   // empty: from UpdateRuntimeConfig
  std::string subnet;  // empty: the range
  std::string gateway;
  std::vector<std::string> exclude;
  std::string node_address;  // empty: the parent's, else of the range
  std::string service_cidr;
  bool host_link = true;
  std::string host_link_name = "pinion-host";
  std::string interface_name = "eth0";
  int64_t mtu = 0;  // 0: the parent's
  std::chrono::seconds cool_down{60};
  bool duplicate_probe = false;
  std::string ipvlan_mode = "l2";
  std::vector<std::string> modes;  // beside `mode`
  std::string bridge_range;        // empty: `range`
  std::string bridge_name = "pinion0";
  std::vector<std::string> no_masquerade;
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::chrono::seconds cni_timeout{60};
  std::map<std::string, SecondaryNetworkConfig> secondary;
};

struct ImageConfig {
  std::string registry_config_dir = "/etc/pinion/certs.d";
  std::vector<std::string> insecure_registries;
  std::string default_registry;
  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;
  int64_t parallel_layers = 8;
  std::vector<std::string> pinned;
};

struct RuntimeConfig {
  std::vector<std::string> handlers;
  bool seccomp_default = false;
  std::vector<std::string> allowed_unsafe_sysctls;
  std::vector<std::string> cdi_spec_dirs = {"/etc/cdi", "/var/run/cdi"};
  int64_t warm_pods = 4;
};

struct Config {
  std::string root = "/var/lib/pinion";
  std::string state = "/run/pinion";
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;

  CriConfig cri;
  StreamingConfig streaming;
  MetricsConfig metrics;
  CgroupConfig cgroup;
  CpuConfig cpu;
  NetworkConfig network;
  ImageConfig image;
  RuntimeConfig runtime;

  // Key -> where it was set ("FILE:LINE" or "--flag"); absent: the default.
  std::map<std::string, std::string> origins;

  std::string SocketPath() const;
};

using ConfigValue =
    std::variant<std::string, int64_t, bool, std::vector<std::string>>;

struct ConfigKey {
  // "log_level", "network.range".
  std::string name;
  // As TOML, for the reference and the sample.
  std::string default_value;
  // What SIGHUP applies; everything else needs a restart.
  bool reloadable = false;
  // InvalidArgument says what is wrong with the value, without the key.
  std::function<absl::Status(const ConfigValue&, Config*)> apply;
  // The effective value, for Status and for telling changes; secrets in it
  // (a proxy's user) are masked.
  std::function<ConfigValue(const Config&)> show;
};

// Every key but those of [network.secondary.NAME], in the order of the
// reference.
const std::vector<ConfigKey>& ConfigKeys();
// Those of one such table: "network.secondary.storage.parent". None can be
// reloaded.
std::vector<ConfigKey> SecondaryNetworkKeys(const std::string& name);
// Null if ConfigKeys has no such key.
const ConfigKey* FindConfigKey(const std::string& name);

// The key that a person most likely meant, or empty.
std::string NearestConfigKey(const std::string& name,
                             const std::vector<ConfigKey>& keys = ConfigKeys());

// The effective configuration as one JSON object, sections nested.
std::string ConfigJson(const Config& config);

// Names of keys whose values differ, in the order of the reference.
std::vector<std::string> ChangedKeys(const Config& before, const Config& after);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_CONFIG_H_
