#include "tools/ips.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace pinion::tools {
namespace {

constexpr size_t kBarWidth = 30;

std::string PoolLine(const PoolView& pool, const Terminal& terminal) {
  const double share =
      pool.capacity == 0
          ? 0
          : static_cast<double>(pool.used) / static_cast<double>(pool.capacity);
  const Style style = share > 0.95  ? Style::kRed
                      : share > 0.8 ? Style::kYellow
                                    : Style::kGreen;
  const std::string bar = pool.used == 0 ? "" : Bar(0, share, kBarWidth);
  return absl::StrCat(terminal.Paint(Style::kBold, pool.name), "  ▕",
                      terminal.Paint(style, PadRight(bar, kBarWidth)), "▏ ",
                      pool.used, " of ", pool.capacity, " used",
                      pool.cooling == 0
                          ? ""
                          : absl::StrCat(", ", pool.cooling, " cooling down"),
                      "\n");
}

std::string StateOf(const AddressRow& row) {
  if (row.owned) return "in use";
  if (!row.cooling_ns) return "released";
  return absl::StrCat("free in ", FormatDuration(*row.cooling_ns));
}

}  // namespace

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
        {"ADDRESS", "STATE", "FOR", "POD", "NAME"}};
    for (const AddressRow& row : pool.rows) {
      table.push_back({row.address, StateOf(row),
                       row.age_ns ? FormatDuration(*row.age_ns) : "?",
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
                    {"addresses", rows}});
  }
  return root.dump(2) + "\n";
}

}  // namespace pinion::tools
