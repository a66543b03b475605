// `pinionctl net`: asks the daemon about the pod, then looks and tries itself.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "admin.pb.h"
#include "base/status_macros.h"
#include "ipam/pool_reader.h"
#include "os/file.h"
#include "runtime/v1/api.pb.h"
#include "tools/commands.h"
#include "tools/cri_client.h"
#include "tools/ips.h"
#include "tools/net_causes.h"
#include "tools/net_checks.h"
#include "tools/net_render.h"
#include "tools/terminal.h"

namespace pinion::tools {
namespace {

using std::chrono::milliseconds;

constexpr char kUsage[] = "net POD [--query NAME] [--timeout SECONDS] [--json]";
constexpr milliseconds kAnswerTimeout{3000};

absl::StatusOr<milliseconds> LimitOf(const CommandLine& line) {
  double seconds = 3;
  if (!line.timeout.empty() && (!absl::SimpleAtod(line.timeout, &seconds) ||
                                !(seconds >= 0.1 && seconds <= 60))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--timeout \"", line.timeout, "\": give seconds from 0.1 to 60"));
  }
  return milliseconds(static_cast<int64_t>(seconds * 1000));
}

// What pods without a DNS configuration of their own see.
std::vector<std::string> NodesServers() {
  std::vector<std::string> servers;
  const std::string text =
      os::ReadFileAt(AT_FDCWD, "/etc/resolv.conf", 1 << 16).value_or("");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == "nameserver") {
      servers.push_back(words[1]);
    }
  }
  return servers;
}

std::vector<std::string> PoolEntries(const std::string& directory,
                                     const std::string& pod_id) {
  std::vector<std::string> texts;
  const auto pools = ipam::ListPools(directory);
  if (!pools.ok()) return texts;
  for (const std::string& pool : *pools) {
    const std::string path = absl::StrCat(directory, "/", pool);
    const auto entries = ipam::ReadPool(path);
    if (!entries.ok()) continue;
    for (const ipam::PoolEntry& entry : *entries) {
      if (entry.state != ipam::PoolEntry::State::kOwned ||
          pod_id.compare(0, ipam::Owner::kDigits, entry.owner.ToString()) !=
              0) {
        continue;
      }
      std::string text =
          absl::StrCat(entry.address.ToString(), " of ", PoolTitle(pool));
      if (entry.age) {
        absl::StrAppend(
            &text, ", for ",
            FormatDuration(std::chrono::nanoseconds(*entry.age).count()));
      }
      texts.push_back(std::move(text));
    }
  }
  return texts;
}

PodOnNetwork FromAnswer(const admin::v1::PodAttachment& answer) {
  PodOnNetwork pod;
  pod.id = answer.id();
  pod.title = absl::StrCat(answer.namespace_(), "/", answer.name());
  pod.ready = answer.ready();
  pod.host_network = answer.host_network();
  pod.user_namespace = answer.user_namespace();
  pod.netns_path = answer.netns_path();
  pod.ips.assign(answer.ips().begin(), answer.ips().end());
  pod.mac = answer.mac();
  pod.mode = answer.mode();
  pod.own_dns = answer.has_dns() && answer.dns_servers_size() > 0;
  pod.dns_servers.assign(answer.dns_servers().begin(),
                         answer.dns_servers().end());
  pod.dns_searches.assign(answer.dns_searches().begin(),
                          answer.dns_searches().end());
  if (!pod.own_dns) pod.dns_servers = NodesServers();
  for (const auto& port : answer.host_ports()) {
    pod.host_ports.push_back(absl::StrCat(
        port.protocol(), " ",
        port.host_ip().empty() ? "" : absl::StrCat(port.host_ip(), ":"),
        port.host_port(), " -> ", port.container_port()));
  }
  for (const auto& phase : answer.phases()) {
    pod.phases.emplace_back(phase.name(), phase.duration_ns());
  }
  return pod;
}

// Why no pod can be attached now, as the kubelet is told; empty if one can.
std::string WhyNotReady(const CriClient& client) {
  ::runtime::v1::StatusResponse response;
  if (!client.Call(::runtime::v1::StatusRequest(), &response, kAnswerTimeout)
           .ok()) {
    return "";
  }
  for (const auto& condition : response.status().conditions()) {
    if (condition.type() == "NetworkReady" && !condition.status()) {
      return absl::StrCat(condition.reason(), ": ", condition.message());
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<int> RunNet(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 1, 1, kUsage));
  PINION_ASSIGN_OR_RETURN(const milliseconds limit, LimitOf(line));
  if (!line.query.empty()) {
    PINION_RETURN_IF_ERROR(DnsQuery(0, {line.query, kDnsTypeA}).status());
  }
  PINION_ASSIGN_OR_RETURN(const daemon::Config config, ConfigOf(line));
  const std::string socket = config.SocketPath();
  const CriClient client(socket);
  admin::v1::PodNetworkRequest request;
  request.set_pod_id(line.arguments.front());
  admin::v1::PodNetworkResponse answer;
  PINION_RETURN_IF_ERROR(
      NotServing(client.Call(request, &answer, kAnswerTimeout), socket));
  if (answer.pods_size() != 1) {
    return absl::NotFoundError(absl::StrCat("no pod ", line.arguments.front()));
  }
  if (geteuid() != 0) {
    return absl::PermissionDeniedError(
        "to look into the pod's network namespace: be root");
  }
  PodOnNetwork pod = FromAnswer(answer.pods(0));
  if (pod.mode.empty()) pod.mode = config.network.mode;
  pod.parent = config.network.parent;
  pod.host_link = config.network.host_link;
  pod.host_link_name = config.network.host_link_name;
  pod.interface_name = config.network.interface_name;
  pod.service_cidr = config.network.service_cidr;
  pod.pool_entries = PoolEntries(absl::StrCat(config.state, "/ipam"), pod.id);
  pod.not_ready = WhyNotReady(client);
  PINION_ASSIGN_OR_RETURN(NetPicture picture,
                          CheckNetwork(pod, line.query, limit));
  ExplainFailures(&picture);
  const std::string text = line.json
                               ? NetworkJson(picture)
                               : RenderNetwork(picture, Terminal::OfStdout());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return NetworkExitCode(picture);
}

}  // namespace pinion::tools
