#include "tools/ips.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace pinion::tools {
namespace {

constexpr size_t kBarWidth = 30;

// Used, then cooling down (lighter), then free.
std::string PoolBar(const PoolView& pool, const Terminal& terminal) {
  const auto share = [&pool](uint64_t count) {
    return pool.capacity == 0 ? 0
                              : static_cast<double>(count) /
                                    static_cast<double>(pool.capacity);
  };
  const double used = share(pool.used);
  const Style style = used > 0.95  ? Style::kRed
                      : used > 0.8 ? Style::kYellow
                                   : Style::kGreen;
  const std::string bar = pool.used == 0 ? "" : Bar(0, used, kBarWidth);
  const size_t width = DisplayWidth(bar);
  // At least a column: something is there.
  size_t cooling =
      static_cast<size_t>(share(pool.cooling) * static_cast<double>(kBarWidth));
  if (cooling == 0 && pool.cooling != 0) cooling = 1;
  cooling = std::min(cooling, kBarWidth - std::min(width, kBarWidth));
  std::string shade;
  for (size_t i = 0; i < cooling; ++i) shade += "░";
  return absl::StrCat("▕", terminal.Paint(style, bar),
                      PadRight(shade, kBarWidth - width), "▏");
}

std::string PoolLine(const PoolView& pool, const Terminal& terminal) {
  return absl::StrCat(
      terminal.Paint(Style::kBold, pool.name), "  ", PoolBar(pool, terminal),
      " ", pool.used, " of ", pool.capacity, " used",
      pool.cooling == 0 ? ""
                        : absl::StrCat(", ", pool.cooling, " cooling down"),
      ", ", pool.Free(), " free\n");
}

std::string StateOf(const AddressRow& row) {
  if (row.owned) return "in use";
  if (!row.cooling_ns) return "released";
  return absl::StrCat("free in ", FormatDuration(*row.cooling_ns));
}

}  // namespace

std::string NetworkOfPool(const std::string& file) {
  absl::string_view rest = file;
  if (!absl::ConsumePrefix(&rest, "secondary/")) return "";
  return std::string(rest.substr(0, rest.find('/')));
}

std::string PoolTitle(const std::string& file) {
  std::string range = file.substr(file.rfind('/') + 1);
  std::replace(range.begin(), range.end(), '_', '/');
  const std::string network = NetworkOfPool(file);
  return network.empty() ? range : absl::StrCat(network, ":", range);
}

uint64_t PoolView::Free() const {
  return capacity - std::min(capacity, used + cooling);
}

std::string RenderPools(const std::vector<PoolView>& pools,
                        const Terminal& terminal) {
  if (pools.empty()) {
    return "no pool: no pod has had an address since the machine started\n";
  }
  std::string result;
  for (const PoolView& pool : pools) {
    absl::StrAppend(&result, result.empty() ? "" : "\n",
                    PoolLine(pool, terminal));
    if (pool.rows.empty()) continue;
    std::vector<std::vector<std::string>> table = {
        {"ADDRESS", "STATE", "FOR", "MAC", "POD", "NAME"}};
    for (const AddressRow& row : pool.rows) {
      table.push_back({row.address, StateOf(row),
                       row.age_ns ? FormatDuration(*row.age_ns) : "?",
                       row.mac.empty() ? "-" : row.mac,
                       row.owned ? row.owner : "-",
                       row.pod.empty() ? "-" : row.pod});
    }
    absl::StrAppend(&result, Table(table));
  }
  return result;
}

std::string PoolsJson(const std::vector<PoolView>& pools) {
  nlohmann::json root = nlohmann::json::array();
  for (const PoolView& pool : pools) {
    nlohmann::json rows = nlohmann::json::array();
    for (const AddressRow& row : pool.rows) {
      nlohmann::json item = {{"address", row.address},
                             {"state", row.owned ? "in use" : "released"}};
      if (row.owned) item["pod_id_prefix"] = row.owner;
      if (!row.pod.empty()) item["pod"] = row.pod;
      if (!row.mac.empty()) item["mac"] = row.mac;
      if (row.cooling_ns) {
        item["free_in_seconds"] = static_cast<double>(*row.cooling_ns) / 1e9;
      }
      if (row.age_ns) {
        item["age_seconds"] = static_cast<double>(*row.age_ns) / 1e9;
      }
      rows.push_back(item);
    }
    root.push_back({{"pool", pool.name},
                    {"capacity", pool.capacity},
                    {"used", pool.used},
                    {"cooling", pool.cooling},
                    {"free", pool.Free()},
                    {"addresses", rows}});
  }
  return root.dump(2) + "\n";
}

}  // namespace pinion::tools
