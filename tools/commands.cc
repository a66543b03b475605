#include "tools/commands.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "admin.pb.h"
#include "base/clock.h"
#include "base/cpu_set.h"
#include "base/status_macros.h"
#include "daemon/flags.h"
#include "ipam/pool_file.h"
#include "ipam/pool_reader.h"
#include "tools/cpus.h"
#include "tools/cri_client.h"
#include "tools/doctor.h"
#include "tools/doctor_trials.h"
#include "tools/ips.h"
#include "tools/timeline.h"

namespace pinion::tools {
namespace {

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// What the daemon knows of an address's owner.
struct Owner {
  std::string pod;  // "namespace/name"
  std::string mac;
  // Of its further interfaces, by network and address.
  std::map<std::pair<std::string, std::string>, std::string> further_macs = {};
  // It runs, with an address of a pool.
  bool pooled = false;
};
// By the first 13 digits of their ids; empty if the daemon is not there.
using Owners = std::map<std::string, Owner>;

Owners AskForOwners(const std::string& socket, const std::string& node_mode) {
  Owners owners;
  if (access(socket.c_str(), F_OK) != 0) return owners;
  admin::v1::PodNetworkResponse response;
  if (!CriClient(socket)
           .Call(admin::v1::PodNetworkRequest(), &response,
                 std::chrono::seconds(5))
           .ok()) {
    return owners;
  }
  for (const auto& pod : response.pods()) {
    Owner owner = {Printable(absl::StrCat(pod.namespace_(), "/", pod.name())),
                   pod.mac()};
    owner.pooled = pod.ready() && !pod.host_network() && pod.ips_size() != 0 &&
                   (pod.mode().empty() ? node_mode : pod.mode()) != "cni";
    for (const auto& one : pod.further()) {
      for (const std::string& ip : one.ips()) {
        owner.further_macs[{one.network(), ip}] = one.mac();
      }
    }
    owners[pod.id().substr(0, ipam::Owner::kDigits)] = std::move(owner);
  }
  return owners;
}

std::string MacOf(const Owner& owner, const std::string& network,
                  const std::string& address) {
  if (network.empty()) return owner.mac;
  const auto found = owner.further_macs.find({network, address});
  return found == owner.further_macs.end() ? "" : found->second;
}

uint64_t MonotonicMs() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          Clock::Real().Now().time_since_epoch())
          .count());
}

absl::StatusOr<PoolView> ViewPool(const std::string& directory,
                                  const std::string& name, const Owners& owners,
                                  std::chrono::nanoseconds cool_down) {
  const std::string path = absl::StrCat(directory, "/", name);
  PoolView view;
  view.name = PoolTitle(name);
  PINION_ASSIGN_OR_RETURN(const auto file,
                          ipam::PoolFile::OpenForReading(path, MonotonicMs()));
  view.capacity = file->usable();
  PINION_ASSIGN_OR_RETURN(const auto entries, ipam::ReadPool(path));
  for (const ipam::PoolEntry& entry : entries) {
    AddressRow row;
    row.address = entry.address.ToString();
    row.owned = entry.state == ipam::PoolEntry::State::kOwned;
    if (row.owned) {
      ++view.used;
      row.owner = entry.owner.ToString();
      const auto found = owners.find(row.owner);
      if (found != owners.end()) {
        row.pod = found->second.pod;
        row.mac = MacOf(found->second, NetworkOfPool(name), row.address);
      }
    }
    if (entry.age) {
      row.age_ns = std::chrono::nanoseconds(*entry.age).count();
    }
    if (!row.owned) {
      // One that has cooled down is as good as never used.
      if (!entry.age || *entry.age >= cool_down) continue;
      row.cooling_ns = (cool_down - *entry.age).count();
      ++view.cooling;
    }
    view.rows.push_back(row);
  }
  return view;
}

// Pods, by name, that should have an address in one of the pools.
std::vector<std::string> WithoutAddress(const Owners& owners,
                                        const std::vector<PoolView>& pools) {
  std::set<std::string> with;
  for (const PoolView& pool : pools) {
    for (const AddressRow& row : pool.rows) with.insert(row.owner);
  }
  std::vector<std::string> without;
  for (const auto& [id, owner] : owners) {
    if (owner.pooled && with.count(id) == 0) without.push_back(owner.pod);
  }
  return without;
}

}  // namespace

absl::StatusOr<daemon::Config> ConfigOf(const CommandLine& line) {
  daemon::Flags flags;
  flags.config = line.config;
  for (const auto& [key, value] :
       {std::pair("root", line.root), std::pair("state", line.state),
        std::pair("cri.socket", line.socket)}) {
    if (!value.empty()) flags.values[key] = value;
  }
  return daemon::LoadConfig(flags);
}

absl::Status WantArguments(const CommandLine& line, size_t least, size_t most,
                           const std::string& usage) {
  if (line.arguments.size() >= least && line.arguments.size() <= most) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("usage: pinionctl ", usage));
}

absl::Status NotServing(const absl::Status& status, const std::string& socket) {
  if (!absl::IsUnavailable(status)) return status;
  if (access(socket.c_str(), R_OK | W_OK) != 0 && errno == EACCES) {
    return absl::PermissionDeniedError(
        absl::StrCat("no permission to use ", socket,
                     ": be root, or in the group of cri.socket_group"));
  }
  return absl::UnavailableError(
      absl::StrCat("piniond does not answer on ", socket,
                   " (systemctl status piniond; --socket PATH for another)"));
}

absl::StatusOr<std::string> SocketOf(const CommandLine& line) {
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  return config.SocketPath();
}

absl::StatusOr<int> RunDoctor(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 0, 0, "doctor [--json]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  const auto& further = config.network.modes;
  const auto enabled = [&](const char* mode) {
    return config.network.mode == mode ||
           std::find(further.begin(), further.end(), mode) != further.end();
  };
  const bool ipvlan = enabled("ipvlan");
  const std::string parent =
      ipvlan || enabled("macvlan") ? config.network.parent : "auto";
  Facts facts = CollectFacts(config.root, parent);
  if (ipvlan && facts.root) facts.ipvlan = TryIpvlan();
  for (const auto& [name, network] : config.network.secondary) {
    facts.secondary.push_back(
        {name, network.parent, IsDeviceUp(network.parent)});
  }
  facts.cpu = CollectCpuFacts(config);
  const std::vector<Finding> findings = Judge(facts);
  Print(line.json ? FindingsJson(findings)
                  : RenderFindings(findings, Terminal::OfStdout()));
  return DoctorExitCode(findings);
}

absl::StatusOr<int> RunCpus(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 0, 0, "cpus [--json]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  const std::string socket = config.SocketPath();
  admin::v1::CpusResponse response;
  PINION_RETURN_IF_ERROR(NotServing(
      CriClient(socket).Call(admin::v1::CpusRequest(), &response), socket));
  CpuMap map;
  map.policy = response.policy();
  for (const auto& cpu : response.cpus()) {
    map.cpus.push_back({cpu.id(), cpu.core(), cpu.socket(), cpu.node()});
  }
  PINION_ASSIGN_OR_RETURN(map.reserved, CpuSet::Parse(response.reserved()));
  PINION_ASSIGN_OR_RETURN(map.shared, CpuSet::Parse(response.shared()));
  for (const auto& owner : response.owners()) {
    CpuMapOwner& added = map.owners.emplace_back();
    added.container_id = owner.container_id();
    added.name =
        Printable(absl::StrCat(owner.pod_namespace(), "/", owner.pod_name(),
                               "/", owner.container_name()));
    PINION_ASSIGN_OR_RETURN(added.cpus, CpuSet::Parse(owner.cpus()));
    PINION_ASSIGN_OR_RETURN(added.idle, CpuSet::Parse(owner.idle()));
    added.partition = owner.partition();
    added.astray_on = owner.astray_on();
    for (const std::string& name : owner.shared_with()) {
      added.shared_with.push_back(Printable(name));
    }
  }
  Print(line.json ? CpuMapJson(map) : RenderCpuMap(map, Terminal::OfStdout()));
  return 0;
}

absl::StatusOr<int> RunIps(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 0, 0, "ips [--json]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  const std::string directory = absl::StrCat(config.state, "/ipam");
  if (access(config.state.c_str(), F_OK) != 0 && errno == ENOENT) {
    return absl::NotFoundError(
        absl::StrCat("no directory ", config.state,
                     ": piniond has not run since the machine started, or "
                     "with another --state"));
  }
  PINION_ASSIGN_OR_RETURN(const auto names, ipam::ListPools(directory));
  const auto ask = [&config] {
    return AskForOwners(config.SocketPath(), config.network.mode);
  };
  const Owners owners = ask();
  std::vector<PoolView> pools;
  for (const std::string& name : names) {
    PINION_ASSIGN_OR_RETURN(
        const PoolView view,
        ViewPool(directory, name, owners, config.network.cool_down));
    pools.push_back(view);
  }
  Print(line.json ? PoolsJson(pools)
                  : RenderPools(pools, Terminal::OfStdout()));
  std::vector<std::string> lost = WithoutAddress(owners, pools);
  // One that was stopped meanwhile is none.
  if (!lost.empty()) lost = WithoutAddress(ask(), pools);
  if (lost.empty()) return 0;
  return absl::DataLossError(absl::StrCat(
      "no pool in ", directory, " has the addresses of ", lost.size(),
      " pods that run (", lost.front(),
      "): were files removed there? A restart of piniond, which no pod "
      "notices, enters them again"));
}

absl::StatusOr<int> RunTimeline(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 1, 1, "timeline POD [--json]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  PINION_ASSIGN_OR_RETURN(
      const Timeline timeline,
      FetchTimeline(config.SocketPath(), line.arguments[0]));
  Print(line.json ? TimelineJson(timeline)
                  : RenderTimeline(timeline, Terminal::OfStdout()));
  return 0;
}

absl::StatusOr<Timeline> FetchTimeline(const std::string& socket,
                                       const std::string& pod) {
  admin::v1::PodTimelineRequest request;
  request.set_pod_id(pod);
  admin::v1::PodTimelineResponse response;
  PINION_RETURN_IF_ERROR(
      NotServing(CriClient(socket).Call(request, &response), socket));
  Timeline timeline;
  timeline.pod_id = response.pod_id();
  timeline.title = absl::StrCat(response.namespace_(), "/", response.name());
  for (const auto& phase : response.phases()) {
    timeline.phases.push_back(
        {phase.object(), phase.name(), phase.start_ns(), phase.duration_ns()});
  }
  return timeline;
}

absl::StatusOr<int> RunImage(const CommandLine& line) {
  if (line.arguments.empty() || line.arguments[0] != "import") {
    return absl::InvalidArgumentError(
        "usage: pinionctl image import FILE [REF]");
  }
  PINION_RETURN_IF_ERROR(WantArguments(line, 2, 3, "image import FILE [REF]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  admin::v1::ImportImageRequest request;
  // The daemon opens it, from another working directory.
  char* absolute = realpath(line.arguments[1].c_str(), nullptr);
  if (absolute == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(line.arguments[1], ": no such file"));
  }
  request.set_path(absolute);
  free(absolute);
  if (line.arguments.size() == 3) request.set_reference(line.arguments[2]);
  admin::v1::ImportImageResponse response;
  const std::string socket = config.SocketPath();
  PINION_RETURN_IF_ERROR(NotServing(
      CriClient(socket).Call(request, &response, std::chrono::minutes(30)),
      socket));
  if (line.json) {
    std::string references;
    for (const std::string& reference : response.references()) {
      absl::StrAppend(&references, references.empty() ? "" : ", ", "\"",
                      reference, "\"");
    }
    Print(absl::StrCat("{\"id\": \"", response.image_id(),
                       "\", \"references\": [", references, "]}\n"));
    return 0;
  }
  Print(absl::StrCat(response.image_id(), "\n"));
  for (const std::string& reference : response.references()) {
    Print(absl::StrCat("  ", reference, "\n"));
  }
  return 0;
}

}  // namespace pinion::tools
