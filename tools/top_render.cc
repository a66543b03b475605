// How `pinionctl top` looks.

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/top.h"

namespace pinion::tools {
namespace {

constexpr char kNameTitle[] = "pod";
constexpr size_t kShortestName = 12;

struct Cell {
  std::string text;
  Style style = Style::kPlain;
};

// A column of numbers. Those that are not `always` there show if any row has
// something to say: a cell other than "-" and "0".
struct Column {
  const char* group;
  const char* title;
  size_t width;  // at least
  bool always;
  std::function<Cell(const TopRow&)> cell;
};

Cell Percent(const std::optional<double>& share, double warm, double hot) {
  if (!share) return {"-", Style::kDim};
  const Style style = *share >= hot    ? Style::kRed
                      : *share >= warm ? Style::kYellow
                                       : Style::kPlain;
  // "0.4", "42", "1250".
  return {*share < 9.95 ? absl::StrFormat("%.1f", *share)
                        : absl::StrFormat("%.0f", *share),
          style};
}

Cell Count(const std::optional<uint64_t>& count) {
  if (!count) return {"-", Style::kDim};
  return {absl::StrCat(*count), Style::kPlain};
}

Cell Limit(const std::optional<uint64_t>& bytes) {
  if (!bytes) return {"-", Style::kDim};
  return {FormatBytesShort(*bytes), Style::kPlain};
}

Cell CpuUse(const TopRow& row) {
  Cell cell = Percent(row.cpu_percent, 1e9, 1e9);
  if (row.cpu_percent && row.cpu_limit_percent &&
      *row.cpu_percent >= 0.9 * *row.cpu_limit_percent) {
    cell.style = Style::kYellow;
  }
  return cell;
}

Cell MemoryUse(const TopRow& row) {
  Cell cell = Limit(row.memory_bytes);
  if (!row.memory_bytes) return cell;
  const auto used = static_cast<double>(*row.memory_bytes);
  const auto share = [used](const std::optional<uint64_t>& limit) {
    return limit && *limit > 0 ? used / static_cast<double>(*limit) : 0;
  };
  if (share(row.memory_high_bytes) >= 0.95) cell.style = Style::kYellow;
  if (share(row.memory_max_bytes) >= 0.9) cell.style = Style::kRed;
  return cell;
}

Cell Pressure(const PressureShare& share) {
  return Percent(share.some, 10, 40);
}

using R = const TopRow&;

const std::vector<Column>& Columns() {
  static const auto* const kColumns = new std::vector<Column>{
      {"cpu %", "use", 4, true, CpuUse},
      {"cpu %", "limit", 5, false,
       [](R r) { return Percent(r.cpu_limit_percent, 1e9, 1e9); }},
      {"cpu %", "held", 4, false,
       [](R r) { return Percent(r.throttled_percent, 1, 25); }},
      {"memory", "use", 5, true, MemoryUse},
      {"memory", "high", 5, false,
       [](R r) { return Limit(r.memory_high_bytes); }},
      {"memory", "max", 5, false,
       [](R r) { return Limit(r.memory_max_bytes); }},
      {"memory", "swap", 5, false, [](R r) { return Limit(r.swap_bytes); }},
      {"waiting %", "cpu", 4, true,
       [](R r) { return Pressure(r.cpu_pressure); }},
      {"waiting %", "mem", 4, true,
       [](R r) { return Pressure(r.memory_pressure); }},
      {"waiting %", "io", 4, true, [](R r) { return Pressure(r.io_pressure); }},
      {"", "pids", 4, true, [](R r) { return Count(r.pids); }},
      {"", "ooms", 4, false,
       [](R r) {
         Cell cell = Count(r.oom_kills);
         if (r.oom_kills.value_or(0) > 0) cell.style = Style::kRed;
         return cell;
       }},
  };
  return *kColumns;
}

struct Line {
  std::string name;
  const TopRow* row;
};

std::vector<Line> Lines(const std::vector<TopRow>& pods, bool containers) {
  std::vector<Line> lines;
  for (const TopRow& pod : pods) {
    lines.push_back(
        {Printable(absl::StrCat(pod.namespace_name, "/", pod.name)), &pod});
    if (!containers) continue;
    for (const TopRow& container : pod.containers) {
      lines.push_back({"  " + Printable(container.name), &container});
    }
  }
  return lines;
}

struct Filled {
  const Column* column;
  size_t width;
  std::vector<Cell> cells;
};

// Two blanks before a group, one before the others.
size_t Gap(const std::vector<Filled>& columns, size_t i) {
  return i == 0 || columns[i].column->group !=
                       std::string_view(columns[i - 1].column->group)
             ? 2
             : 1;
}

// Widens the first column of a group whose name is longer than its columns.
void FitGroups(std::vector<Filled>& columns) {
  for (size_t first = 0; first < columns.size();) {
    const std::string group = columns[first].column->group;
    size_t width = columns[first].width;
    size_t next = first + 1;
    for (; next < columns.size() && group == columns[next].column->group;
         ++next) {
      width += Gap(columns, next) + columns[next].width;
    }
    if (width < group.size()) columns[first].width += group.size() - width;
    first = next;
  }
}

size_t Width(const std::vector<Filled>& columns) {
  size_t width = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    width += Gap(columns, i) + columns[i].width;
  }
  return width;
}

std::vector<Filled> Fill(const std::vector<Line>& lines, size_t width) {
  std::vector<Filled> result;
  for (const Column& column : Columns()) {
    Filled filled{
        &column, std::max(column.width, DisplayWidth(column.title)), {}};
    bool says = column.always;
    for (const Line& line : lines) {
      Cell cell = column.cell(*line.row);
      says = says || (cell.text != "-" && cell.text != "0");
      filled.width = std::max(filled.width, DisplayWidth(cell.text));
      filled.cells.push_back(std::move(cell));
    }
    if (says) result.push_back(std::move(filled));
  }
  FitGroups(result);
  // What is missed least where all does not fit.
  for (const std::string_view title : {"swap", "limit", "held"}) {
    if (Width(result) + kShortestName <= width) break;
    result.erase(std::remove_if(result.begin(), result.end(),
                                [title](const Filled& one) {
                                  return one.column->title == title;
                                }),
                 result.end());
  }
  return result;
}

// The groups' names, each over the first of its columns.
std::string GroupLine(const std::vector<Filled>& columns, size_t name_width) {
  std::string line(name_width, ' ');
  size_t at = name_width;
  for (size_t i = 0; i < columns.size(); ++i) {
    at += Gap(columns, i);
    const std::string group = columns[i].column->group;
    if (i == 0 || group != columns[i - 1].column->group) {
      line = PadRight(line, at) + group;
    }
    at += columns[i].width;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string Heading(const TopSample& sample, const TopView& view) {
  size_t containers = 0;
  for (const TopRow& pod : sample.pods) containers += pod.containers.size();
  const auto plural = [](size_t count, const char* what) {
    return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
  };
  return absl::StrCat(
      plural(sample.pods.size(), "pod"), ", ", plural(containers, "container"),
      ", by ", TopSortName(view.sort),
      sample.seconds > 0 ? absl::StrFormat(", over %.1f s", sample.seconds)
                         : "");
}

// How many of `lines` fit below the heading and two lines of titles, with the
// note, and with a line for those that do not.
size_t Shown(size_t lines, const TopView& view) {
  const size_t around = 3 + (view.note.empty() ? 0 : 1);
  if (view.lines == 0 || lines + around <= view.lines) return lines;
  return std::min(lines, view.lines > around + 1 ? view.lines - around - 1 : 1);
}

size_t NameWidth(const std::vector<Line>& lines,
                 const std::vector<Filled>& columns, size_t width) {
  const size_t numbers = Width(columns);
  size_t longest = DisplayWidth(kNameTitle);
  for (const Line& line : lines) {
    longest = std::max(longest, DisplayWidth(line.name));
  }
  const size_t left = width > numbers ? width - numbers : 0;
  return std::min(longest, std::max(left, kShortestName));
}

std::string TableOf(const std::vector<Line>& lines, const TopView& view,
                    const Terminal& terminal) {
  const std::vector<Filled> columns = Fill(lines, terminal.width);
  const size_t name_width = NameWidth(lines, columns, terminal.width);
  std::string titles = PadRight(kNameTitle, name_width);
  for (size_t i = 0; i < columns.size(); ++i) {
    absl::StrAppend(&titles, std::string(Gap(columns, i), ' '),
                    PadLeft(columns[i].column->title, columns[i].width));
  }
  std::string result =
      absl::StrCat(terminal.Paint(Style::kDim, GroupLine(columns, name_width)),
                   terminal.Paint(Style::kDim, titles), "\n");
  const size_t shown = Shown(lines.size(), view);
  for (size_t at = 0; at < shown; ++at) {
    result += PadRight(CutMiddle(lines[at].name, name_width), name_width);
    for (size_t i = 0; i < columns.size(); ++i) {
      const Cell& cell = columns[i].cells[at];
      absl::StrAppend(
          &result, std::string(Gap(columns, i), ' '),
          terminal.Paint(cell.style, PadLeft(cell.text, columns[i].width)));
    }
    result += "\n";
  }
  if (shown < lines.size()) {
    absl::StrAppend(
        &result,
        terminal.Paint(Style::kDim,
                       absl::StrCat("and ", lines.size() - shown, " more")),
        "\n");
  }
  return result;
}

nlohmann::json Number(const std::optional<double>& value) {
  if (!value) return nullptr;
  return std::round(*value * 100) / 100;
}
nlohmann::json Number(const std::optional<uint64_t>& value) {
  if (!value) return nullptr;
  return *value;
}
nlohmann::json PressureJson(const PressureShare& share) {
  return {{"some_percent", Number(share.some)},
          {"full_percent", Number(share.full)}};
}

nlohmann::json RowJson(const TopRow& row) {
  nlohmann::json json = {
      {"id", row.id},
      {"name", row.name},
      {"cpu",
       {{"percent", Number(row.cpu_percent)},
        {"limit_percent", Number(row.cpu_limit_percent)},
        {"throttled_percent", Number(row.throttled_percent)}}},
      {"memory",
       {{"bytes", Number(row.memory_bytes)},
        {"high_bytes", Number(row.memory_high_bytes)},
        {"max_bytes", Number(row.memory_max_bytes)},
        {"swap_bytes", Number(row.swap_bytes)},
        {"oom_kills", Number(row.oom_kills)}}},
      {"pressure",
       {{"cpu", PressureJson(row.cpu_pressure)},
        {"memory", PressureJson(row.memory_pressure)},
        {"io", PressureJson(row.io_pressure)}}},
      {"pids", Number(row.pids)},
      {"pids_max", Number(row.pids_max)}};
  return json;
}

}  // namespace

std::string RenderTop(TopSample sample, const TopView& view,
                      const Terminal& terminal) {
  SortTop(view.sort, sample.pods);
  const std::vector<Line> lines = Lines(sample.pods, view.containers);
  std::string result =
      terminal.Paint(Style::kBold,
                     CutMiddle(Heading(sample, view), terminal.width)) +
      "\n";
  if (!lines.empty()) result += TableOf(lines, view, terminal);
  if (!view.note.empty()) {
    absl::StrAppend(
        &result,
        terminal.Paint(Style::kDim, CutMiddle(view.note, terminal.width)),
        "\n");
  }
  return result;
}

std::string TopJson(TopSample sample, TopSort sort) {
  SortTop(sort, sample.pods);
  nlohmann::json pods = nlohmann::json::array();
  for (const TopRow& pod : sample.pods) {
    nlohmann::json json = RowJson(pod);
    json["namespace"] = pod.namespace_name;
    json["containers"] = nlohmann::json::array();
    for (const TopRow& container : pod.containers) {
      json["containers"].push_back(RowJson(container));
    }
    pods.push_back(std::move(json));
  }
  const nlohmann::json root = {
      {"seconds", Number(std::optional(sample.seconds))},
      {"pods", std::move(pods)}};
  return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace pinion::tools
