#include "tests/unit/cri/field_docs.h"

#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace pinion::cri {
namespace {

// What stands between backticks.
std::vector<std::string> Quotations(const std::string& text) {
  std::vector<std::string> found;
  const std::vector<std::string> parts = absl::StrSplit(text, '`');
  for (size_t i = 1; i < parts.size(); i += 2) found.push_back(parts[i]);
  return found;
}

void AddRow(const std::string& line, FieldSection& section) {
  // "| fields | verdict | text |"; only the text may hold a bar.
  const std::vector<std::string> cells =
      absl::StrSplit(line, absl::MaxSplits('|', 3));
  if (cells.size() < 4) return;
  FieldRow row;
  row.verdict = std::string(absl::StripAsciiWhitespace(cells[2]));
  row.text = std::string(absl::StripAsciiWhitespace(cells[3]));
  if (row.text == "|") row.text.clear();
  for (const std::string& field : Quotations(cells[1])) {
    if (!section.rows.emplace(field, row).second) {
      section.repeated.push_back(field);
    }
  }
}

}  // namespace

std::vector<FieldSection> ReadFieldDocs(const std::string& path) {
  std::ifstream file(path);
  std::vector<FieldSection> sections;
  bool inside = false;
  bool in_list = false;  // of a group's messages
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "## ")) inside = line == "## Fields";
    if (!inside) continue;
    if (absl::StartsWith(line, "### ")) {
      sections.push_back({Quotations(line), {}, {}});
      continue;
    }
    if (sections.empty()) continue;
    in_list =
        absl::StartsWith(line, "The messages ") || (in_list && !line.empty());
    if (in_list) {
      for (const std::string& name : Quotations(line)) {
        sections.back().messages.push_back(name);
      }
    } else if (absl::StartsWith(line, "| `")) {
      AddRow(line, sections.back());
    }
  }
  return sections;
}

}  // namespace pinion::cri
