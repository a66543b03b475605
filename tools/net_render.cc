#include "tools/net_render.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/id.h"
#include "os/error.h"

namespace pinion::tools {
namespace {

// More neighbours than this are counted: a busy LAN has hundreds.
constexpr size_t kShownNeighbours = 16;

std::string AddressList(const NetDevice& device) {
  std::vector<std::string> texts;
  for (const NetAddress& address : device.addresses) {
    texts.push_back(absl::StrCat(address.address, "/", address.prefix_length,
                                 address.duplicate   ? " (duplicate)"
                                 : address.tentative ? " (tentative)"
                                                     : ""));
  }
  return absl::StrJoin(texts, ", ");
}

const char* LinkState(const NetDevice& device) {
  if (!device.up) return "down";
  return device.carrier ? "up" : "no carrier";
}

// What a device stands on or is connected to, as far as this node knows it.
std::string BelowName(const NetPicture& picture, const NetDevice& device) {
  if (device.link_index == 0 || picture.pod.host_network) return "";
  const NetnsView& view = device.link_elsewhere ? picture.host : picture.inside;
  const NetDevice* below = view.FindIndex(device.link_index);
  if (below == nullptr) return "?";
  const NetDevice* bridge = view.FindIndex(below->bridge_index);
  return bridge == nullptr
             ? below->name
             : absl::StrCat(below->name, " of bridge ", bridge->name);
}

std::string Devices(const NetPicture& picture) {
  std::vector<std::vector<std::string>> table = {{"DEVICE", "KIND", "ON", "MTU",
                                                  "STATE", "MAC", "IN", "OUT",
                                                  "LOST", "ADDRESSES"}};
  for (const NetDevice& device : picture.inside.devices) {
    const uint64_t lost = device.rx_errors + device.rx_dropped +
                          device.tx_errors + device.tx_dropped;
    const std::string below = BelowName(picture, device);
    table.push_back({device.name, device.kind.empty() ? "-" : device.kind,
                     below.empty() ? "-" : below, absl::StrCat(device.mtu),
                     LinkState(device), device.mac.empty() ? "-" : device.mac,
                     FormatBytes(device.rx_bytes), FormatBytes(device.tx_bytes),
                     absl::StrCat(lost), AddressList(device)});
  }
  return Table(table);
}

std::string Routes(const NetPicture& picture) {
  std::string text;
  for (const NetRoute& route : picture.inside.routes) {
    absl::StrAppend(&text, "  ", route.type.empty() ? "" : route.type + " ",
                    route.destination,
                    route.via.empty() ? "" : absl::StrCat(" via ", route.via),
                    route.device.empty() ? "" : " dev " + route.device,
                    route.source.empty() ? "" : " from " + route.source, "\n");
  }
  return text.empty() ? "  none\n" : text;
}

std::string Neighbours(const NetPicture& picture) {
  std::string text;
  size_t shown = 0;
  for (const NetNeighbour& neighbour : picture.inside.neighbours) {
    if (++shown > kShownNeighbours) continue;
    absl::StrAppend(&text, "  ", neighbour.address, " dev ", neighbour.device,
                    neighbour.mac.empty() ? "" : " " + neighbour.mac, " ",
                    neighbour.state, "\n");
  }
  if (shown > kShownNeighbours) {
    absl::StrAppend(&text, "  and ", shown - kShownNeighbours, " more\n");
  }
  return text.empty() ? "  none\n" : text;
}

std::string FailureText(const ProbeOutcome& outcome) {
  if (!outcome.answer.empty()) return outcome.answer;
  return outcome.error == 0 ? "failed" : os::ErrnoName(outcome.error);
}

std::string Checks(const NetPicture& picture, const Terminal& terminal) {
  std::string text;
  for (const NetCheck& check : picture.checks) {
    const ProbeOutcome& outcome = check.outcome;
    absl::StrAppend(&text, "  ",
                    terminal.Paint(outcome.ok ? Style::kGreen : Style::kRed,
                                   outcome.ok ? "ok  " : "FAIL"),
                    "  ", PadRight(CheckName(check.kind), 13), " ",
                    PadRight(check.target, 16), " ",
                    PadLeft(FormatDuration(outcome.duration_ns), 9), "  ",
                    outcome.ok ? outcome.answer : FailureText(outcome), "\n");
    if (outcome.ok) continue;
    const size_t width = std::max<size_t>(terminal.width, 60);
    absl::StrAppend(&text,
                    Wrap(absl::StrCat("likely: ", check.cause), width, 8),
                    Wrap(absl::StrCat("do: ", check.remedy), width, 8));
  }
  return text;
}

std::string Heading(const NetPicture& picture, const Terminal& terminal) {
  const PodOnNetwork& pod = picture.pod;
  std::string text =
      absl::StrCat(terminal.Paint(Style::kBold, Printable(pod.title)), "  ",
                   terminal.Paint(Style::kDim, ShortId(pod.id)), "\n");
  const auto line = [&text](const char* name, const std::string& value) {
    if (value.empty()) return;
    absl::StrAppend(&text, PadRight(name, 12), value, "\n");
  };
  std::string how = absl::StrCat("mode ", pod.mode);
  if (pod.host_network) {
    how = "the node's own network: nothing was attached";
  } else if (pod.mode == "macvlan" || pod.mode == "ipvlan") {
    absl::StrAppend(
        &how, ", parent ", pod.parent,
        pod.host_link ? ", host link " + pod.host_link_name : ", no host link");
  }
  line("network", how);
  line("state", pod.ready ? "" : "not ready: its network went with it");
  line("not ready", pod.not_ready);
  line("addresses", absl::StrJoin(pod.ips, ", "));
  for (const std::string& entry : pod.pool_entries) line("pool", entry);
  line("host ports", Printable(absl::StrJoin(pod.host_ports, ", ")));
  line("DNS", absl::StrCat(Printable(absl::StrJoin(pod.dns_servers, ", ")),
                           pod.own_dns ? "" : " (the node's)"));
  std::vector<std::string> phases;
  for (const auto& [name, ns] : pod.phases) {
    phases.push_back(absl::StrCat(name, " ", FormatDuration(ns)));
  }
  line("phases", absl::StrJoin(phases, ", "));
  if (pod.user_namespace) line("user ns", "its own");
  return text;
}

nlohmann::json DeviceJson(const NetPicture& picture, const NetDevice& device) {
  nlohmann::json addresses = nlohmann::json::array();
  for (const NetAddress& address : device.addresses) {
    addresses.push_back({{"address", address.address},
                         {"prefix_length", address.prefix_length},
                         {"duplicate", address.duplicate},
                         {"tentative", address.tentative}});
  }
  return {{"name", device.name},
          {"kind", device.kind},
          {"on", BelowName(picture, device)},
          {"mtu", device.mtu},
          {"state", LinkState(device)},
          {"mac", device.mac},
          {"addresses", addresses},
          {"rx_bytes", device.rx_bytes},
          {"rx_packets", device.rx_packets},
          {"rx_errors", device.rx_errors},
          {"rx_dropped", device.rx_dropped},
          {"tx_bytes", device.tx_bytes},
          {"tx_packets", device.tx_packets},
          {"tx_errors", device.tx_errors},
          {"tx_dropped", device.tx_dropped}};
}

}  // namespace

std::string RenderNetwork(const NetPicture& picture, const Terminal& terminal) {
  std::string text = Heading(picture, terminal);
  if (!picture.pod.ready) return text;
  if (!picture.pod.host_network) {
    absl::StrAppend(&text, "\n", Devices(picture), "\nroutes\n",
                    Routes(picture), "\nneighbours\n", Neighbours(picture));
  }
  absl::StrAppend(&text, "\n");
  if (picture.checks.empty()) {
    return absl::StrCat(text, "nothing to check: the pod has loopback only\n");
  }
  return absl::StrCat(text, "live check (DNS is asked for ", picture.question,
                      ")\n", Checks(picture, terminal));
}

std::string NetworkJson(const NetPicture& picture) {
  using Json = nlohmann::json;
  const PodOnNetwork& pod = picture.pod;
  Json root = {{"pod_id", pod.id},
               {"pod", pod.title},
               {"ready", pod.ready},
               {"mode", pod.host_network ? "host" : pod.mode},
               {"parent", pod.parent},
               {"netns", pod.netns_path},
               {"user_namespace", pod.user_namespace},
               {"addresses", pod.ips},
               {"mac", pod.mac},
               {"pools", pod.pool_entries},
               {"host_ports", pod.host_ports},
               {"dns_servers", pod.dns_servers},
               {"dns_question", picture.question},
               {"not_ready", pod.not_ready},
               {"well", NetworkExitCode(picture) == 0}};
  root["phases"] = Json::array();
  for (const auto& [name, ns] : pod.phases) {
    root["phases"].push_back({{"name", name}, {"duration_ns", ns}});
  }
  for (const char* list : {"devices", "routes", "neighbours", "checks"}) {
    root[list] = Json::array();
  }
  for (const NetDevice& device : picture.inside.devices) {
    root["devices"].push_back(DeviceJson(picture, device));
  }
  for (const NetRoute& route : picture.inside.routes) {
    root["routes"].push_back({{"to", route.destination},
                              {"via", route.via},
                              {"device", route.device},
                              {"source", route.source},
                              {"type", route.type}});
  }
  for (const NetNeighbour& neighbour : picture.inside.neighbours) {
    root["neighbours"].push_back({{"address", neighbour.address},
                                  {"device", neighbour.device},
                                  {"mac", neighbour.mac},
                                  {"state", neighbour.state}});
  }
  for (const NetCheck& check : picture.checks) {
    root["checks"].push_back(
        {{"check", CheckName(check.kind)},
         {"target", check.target},
         {"ok", check.outcome.ok},
         {"duration_ns", check.outcome.duration_ns},
         {"error",
          check.outcome.error == 0 ? "" : os::ErrnoName(check.outcome.error)},
         {"answer", check.outcome.answer},
         {"likely_cause", check.cause},
         {"remedy", check.remedy}});
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int NetworkExitCode(const NetPicture& picture) {
  return picture.pod.ready &&
                 std::all_of(
                     picture.checks.begin(), picture.checks.end(),
                     [](const NetCheck& check) { return check.outcome.ok; })
             ? 0
             : 1;
}

}  // namespace pinion::tools
