#include "tools/commands.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "admin.pb.h"
#include "base/clock.h"
#include "base/cpu_set.h"
#include "base/status_macros.h"
#include "daemon/flags.h"
#include "ipam/pool_file.h"
#include "ipam/pool_reader.h"
#include "runtime/v1/api.pb.h"
#include "tools/cpus.h"
#include "tools/cri_client.h"
#include "tools/doctor.h"
#include "tools/ips.h"
#include "tools/timeline.h"

namespace pinion::tools {
namespace {

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// What the daemon on this machine uses, flags first.
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

// Pods by the first 13 digits of their ids; empty if the daemon is not there.
std::map<std::string, std::string> PodNames(const std::string& socket) {
  std::map<std::string, std::string> names;
  if (access(socket.c_str(), F_OK) != 0) return names;
  ::runtime::v1::ListPodSandboxResponse response;
  if (!CriClient(socket)
           .Call(::runtime::v1::ListPodSandboxRequest(), &response,
                 std::chrono::seconds(5))
           .ok()) {
    return names;
  }
  for (const auto& pod : response.items()) {
    names[pod.id().substr(0, ipam::Owner::kDigits)] =
        absl::StrCat(pod.metadata().namespace_(), "/", pod.metadata().name());
  }
  return names;
}

uint64_t MonotonicMs() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          Clock::Real().Now().time_since_epoch())
          .count());
}

absl::StatusOr<PoolView> ViewPool(
    const std::string& directory, const std::string& name,
    const std::map<std::string, std::string>& pod_names,
    std::chrono::nanoseconds cool_down) {
  const std::string path = absl::StrCat(directory, "/", name);
  PoolView view;
  view.name = name;
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
      const auto found = pod_names.find(row.owner);
      if (found != pod_names.end()) row.pod = Printable(found->second);
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

}  // namespace

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
  const std::vector<Finding> findings = Judge(CollectFacts(
      config.root,
      config.network.mode == "macvlan" ? config.network.parent : "auto"));
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
  }
  Print(line.json ? CpuMapJson(map) : RenderCpuMap(map, Terminal::OfStdout()));
  return 0;
}

absl::StatusOr<int> RunIps(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 0, 0, "ips [--json]"));
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  const std::string directory = absl::StrCat(config.state, "/ipam");
  PINION_ASSIGN_OR_RETURN(const auto names, ipam::ListPools(directory));
  const auto pod_names = PodNames(config.SocketPath());
  std::vector<PoolView> pools;
  for (const std::string& name : names) {
    PINION_ASSIGN_OR_RETURN(
        const PoolView view,
        ViewPool(directory, name, pod_names, config.network.cool_down));
    pools.push_back(view);
  }
  Print(line.json ? PoolsJson(pools)
                  : RenderPools(pools, Terminal::OfStdout()));
  return 0;
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
