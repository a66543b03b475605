#include "cri/info_json.h"

#include <nlohmann/json.hpp>

namespace pinion::cri {
namespace {

using Json = nlohmann::ordered_json;

// Strings of foreign origin may not be UTF-8: such bytes are replaced.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Phases>
Json PhasesJson(const Phases& phases) {
  Json list = Json::array();
  for (const auto& phase : phases) {
    list.push_back({{"name", phase.name()},
                    {"startNs", phase.start_ns()},
                    {"durationNs", phase.duration_ns()}});
  }
  return list;
}

template <typename Strings>
Json List(const Strings& strings) {
  Json list = Json::array();
  for (const auto& text : strings) list.push_back(text);
  return list;
}

// What is set of them.
Json ResourcesJson(const state::Resources& resources) {
  Json json = Json::object();
  const auto add = [&json](const char* name, int64_t value) {
    if (value != 0) json[name] = value;
  };
  add("cpuPeriod", resources.cpu_period_us());
  add("cpuQuota", resources.cpu_quota_us());
  add("cpuShares", resources.cpu_shares());
  add("memoryLimitInBytes", resources.memory_limit_bytes());
  add("memorySwapLimitInBytes", resources.memory_swap_limit_bytes());
  if (!resources.cpuset_cpus().empty()) {
    json["cpusetCpus"] = resources.cpuset_cpus();
  }
  if (!resources.cpuset_mems().empty()) {
    json["cpusetMems"] = resources.cpuset_mems();
  }
  for (const auto& limit : resources.hugepage_limits()) {
    json["hugepageLimits"][limit.page_size()] = limit.limit_bytes();
  }
  for (const auto& [file, value] : resources.unified()) {
    json["unified"][file] = value;
  }
  return json;
}

Json NetworksJson(const state::PodRecord& pod) {
  Json list = Json::array();
  for (const state::SecondaryInterface& one : pod.secondary()) {
    list.push_back({{"name", one.network()},
                    {"interface", one.interface_name()},
                    {"ips", List(one.ips())},
                    {"mac", one.mac()},
                    {"parent", one.parent()}});
  }
  return list;
}

}  // namespace

std::string PodInfo(const runtime::PodSnapshot& pod,
                    const std::string& netns_path) {
  return Dump({{"pid", pod->monitor_pid()},
               {"netns", netns_path},
               {"cgroup", pod->cgroup()},
               {"ip", pod->ip()},
               {"additionalIPs", List(pod->additional_ips())},
               {"mac", pod->mac()},
               {"networks", NetworksJson(*pod)},
               {"hostname", pod->spec().hostname()},
               {"logDirectory", pod->spec().log_directory()},
               {"runtimeHandler", pod->spec().runtime_handler()},
               {"overhead", ResourcesJson(pod->spec().overhead())},
               {"resources", ResourcesJson(pod->spec().resources())},
               {"phases", PhasesJson(pod->phases())}});
}

std::string ContainerInfo(const runtime::ContainerSnapshot& container,
                          const std::string& pod_cgroup,
                          const std::map<std::string, std::string>& limits) {
  return Dump(
      {{"sandboxID", container->pod_id()},
       {"pid", container->pid()},
       {"cgroup", pod_cgroup.empty() ? "" : pod_cgroup + "/" + container->id()},
       {"argv", List(container->argv())},
       {"workingDir", container->working_dir()},
       {"privileged", container->spec().security().privileged()},
       {"apparmorProfile", container->apparmor_profile()},
       {"tty", container->spec().tty()},
       {"stopSignal", container->stop_signal()},
       {"layers", List(container->layer_dirs())},
       {"limits", limits},
       {"phases", PhasesJson(container->phases())}});
}

std::string ImageInfoJson(const image::ImageInfo& image) {
  const image::ImageConfig& config = image.config;
  Json labels = Json::object();
  for (const auto& [key, value] : config.labels) labels[key] = value;
  return Dump({{"imageConfig",
                {{"Entrypoint", List(config.entrypoint)},
                 {"Cmd", List(config.cmd)},
                 {"Env", List(config.env)},
                 {"WorkingDir", config.working_dir},
                 {"User", config.user},
                 {"StopSignal", config.stop_signal},
                 {"Volumes", List(config.volumes)},
                 {"Labels", labels}}},
               {"layers", List(image.layer_dirs)}});
}

std::string NetworkInfo(const network::Readiness& readiness,
                        const std::vector<network::SecondaryState>& secondary) {
  Json networks = Json::array();
  for (const network::SecondaryState& one : secondary) {
    networks.push_back({{"name", one.network},
                        {"parent", one.parent},
                        {"ready", one.readiness.ready},
                        {"reason", one.readiness.reason},
                        {"message", one.readiness.message}});
  }
  return Dump({{"ready", readiness.ready},
               {"reason", readiness.reason},
               {"message", readiness.message},
               {"secondary", networks}});
}

std::string VersionInfo(const std::string& version) {
  return Dump({{"runtimeName", "pinion"},
               {"runtimeVersion", version},
               {"runtimeApiVersion", "v1"},
               {"compiler", __VERSION__}});
}

std::string CgroupInfo(const std::string& driver) {
  return Dump({{"driver", driver}});
}

std::string AppArmorInfo(const runtime::AppArmorState& state) {
  return Dump({{"enabled", state.enabled}, {"error", state.error}});
}

}  // namespace pinion::cri
